import os

from hypothesis import example, given, settings
from hypothesis import strategies as st

from authsvc.adapters import canonical_json
from authsvc.core import canonical
from authsvc.core.canonical import NotCanonicalError

MANY = 200_000 if os.environ.get("CAMPAIGN") == "full" else 1_000

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def outcome(decode: object, data: bytes) -> object:
    """What a decoder makes of bytes, in a form that tells types apart."""
    try:
        return repr(decode(data))  # type: ignore[operator]
    except NotCanonicalError:
        return None


@settings(max_examples=MANY)
@given(st.dictionaries(st.text(max_size=4), values, max_size=4), st.data())
def test_both_decoders_accept_the_same(value: dict[str, object], data: st.DataObject) -> None:
    """The fast decoder returns what core's does, and refuses what core's refuses, for JSON that is whole, and damaged."""
    text = canonical._encode(value).encode("utf-8", "surrogatepass") if _is_plain(value) else b"{}"
    at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 3))
    damaged = text[:at] + data.draw(st.binary(max_size=3)) + text[at + cut :]
    for bytes_ in (text, damaged):
        assert outcome(canonical_json.decode, bytes_) == outcome(canonical.decode, bytes_)


def _is_plain(value: object) -> bool:
    """Whether the encoder of core can write it: it allows no NaN."""
    try:
        canonical._encode(value)
    except ValueError:
        return False
    return True


@given(st.binary(max_size=30))
@example(b'{"a":1.0}')
@example(b'{"a":1e16}')
@example(b'{"a":9007199254740992}')
@example(b'{"a":18446744073709551616}')
@example(b'{"a":1,"a":1}')
@example(b'{"b":1,"a":1}')
@example(b'{"a": 1}')
@example(b'{"a":-0}')
@example(b'{"a":NaN}')
@example('{"ä":1}'.encode())
@example(b'{"a":"\\ud800"}')
@example(b'{"a":"\\u0041"}')
@example(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")
@example(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
@example(b"[]")
@example(b'\xef\xbb\xbf{"a":1}')
def test_bytes_are_judged_alike(data: bytes) -> None:
    """Whatever the bytes, the two decoders agree."""
    assert outcome(canonical_json.decode, data) == outcome(canonical.decode, data)
