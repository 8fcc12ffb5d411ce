"""Canonical JSON: the one byte form of a value that is hashed (a subset of RFC 8785).

Sorted ASCII keys, no white space, UTF-8, no floats, integers below 2^53, so that any JCS implementation gives the same bytes.
"""

import json
from collections.abc import Mapping, Sequence

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64
"""Objects and lists inside one another; a bound of our own, as the parser's depends on the interpreter and its stack."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class NotCanonicalError(ValueError):
    """The value has no canonical form, or the bytes are not in it."""


def encode(value: Mapping[str, Json]) -> bytes:
    """Return the canonical bytes of `value`, which the caller built of the allowed types only.

    Raises NotCanonicalError for text that is no Unicode (a lone surrogate).
    """
    try:
        return _encode(value).encode()
    except UnicodeEncodeError as error:
        raise NotCanonicalError("text holds a lone surrogate") from error


def decode(data: bytes) -> dict[str, Json]:
    """Return the object whose canonical bytes `data` are; raises NotCanonicalError for everything else."""
    try:
        value = json.loads(data.decode(), parse_float=_refuse_float, parse_constant=_refuse_float)
    except (ValueError, RecursionError) as error:
        raise NotCanonicalError("not JSON in UTF-8 without floats") from error
    if not isinstance(value, dict):
        raise NotCanonicalError("not an object")
    _check(value, depth=1)
    if encode(value) != data:
        raise NotCanonicalError("not the canonical form of its value")
    return value


def _refuse_float(text: str) -> Json:
    raise NotCanonicalError(f"{text} is no integer")


def _check(value: Json, *, depth: int) -> None:
    """Refuse integers, keys and nesting outside the subset."""
    if isinstance(value, bool | str) or value is None:
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise NotCanonicalError("integer beyond 2^53 - 1")
    elif depth > MAX_DEPTH:
        raise NotCanonicalError("nested too deeply")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not key.isascii():
                raise NotCanonicalError("key outside ASCII")
            _check(item, depth=depth + 1)
    else:
        for item in value:
            _check(item, depth=depth + 1)
