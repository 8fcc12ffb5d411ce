"""Canonical JSON at the speed of verification: it accepts what `core.canonical` accepts; a test holds the two together."""

import json
from collections.abc import Mapping

import orjson

from authsvc.core import canonical
from authsvc.core.canonical import MAX_DEPTH, Json


def _refuse(_: str) -> Json:
    raise ValueError


_parse = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).decode
_STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def decode(data: bytes) -> Mapping[str, Json]:
    """Return the object whose canonical bytes `data` are; raises NotCanonicalError for everything else.

    What is plainly canonical is accepted here: ASCII, shallow, and the same bytes when it is written again. Core judges the rest.
    """
    if data.isascii() and data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        try:
            value = _parse(data.decode("ascii"))
            if type(value) is dict and orjson.dumps(value, option=_STRICT) == data:
                return value
        except (ValueError, TypeError, RecursionError):
            pass
    return canonical.decode(data)
