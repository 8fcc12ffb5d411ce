"""Canonical JSON at the speed of verification: it accepts what `core.canonical` accepts; a test holds the two together."""

import re
from collections.abc import Mapping

import orjson

from authsvc.core import canonical
from authsvc.core.canonical import MAX_DEPTH, Json

# INVARIANT: every number with a fraction or an exponent is found, as in canonical JSON one of three characters stands before each
# number. What only looks so, inside a text, costs time and no more. Three, as one first character is searched for the fastest.
_FLOAT_OF_MEMBER, _FLOAT_AFTER, _FLOAT_FIRST = (
    re.compile(before + rb"[-0-9][0-9]*[.eE]").search for before in (rb":", rb",", rb"\[")
)
_STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def decode(data: bytes) -> Mapping[str, Json]:
    """Return the object whose canonical bytes `data` are; raises NotCanonicalError for everything else.

    What is plainly canonical is accepted here: ASCII, shallow, and the same bytes when it is written again. Core judges the rest.
    """
    if data.isascii() and data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        try:
            value = orjson.loads(data)
            if (
                type(value) is dict
                and orjson.dumps(value, option=_STRICT) == data
                and not (_FLOAT_OF_MEMBER(data) or _FLOAT_AFTER(data) or _FLOAT_FIRST(data))
            ):
                return value
        except (ValueError, TypeError):
            pass
    return canonical.decode(data)
