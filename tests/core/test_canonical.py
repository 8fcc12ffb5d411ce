import json
from collections.abc import Mapping

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.canonical import MAX_DEPTH, MAX_INTEGER, Json, NotCanonicalError, decode, encode

keys = st.text(st.characters(max_codepoint=127), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-MAX_INTEGER, max_value=MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=5)


def listed(depth: int) -> bytes:
    """An object whose lists are so deep, the object included."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@given(objects)
def test_encoding_agrees_with_a_foreign_implementation(value: dict[str, Json]) -> None:
    """The bytes are those of RFC 8785 by the rfc8785 package, and they are read back as the same value."""
    data = encode(value)
    assert data == rfc8785.dumps(value)
    assert decode(data) == value


def test_the_form_by_example() -> None:
    """Sorted keys, no white space, control characters escaped as RFC 8785 3.2.2.2 says, all else in UTF-8."""
    value: dict[str, Json] = {"b": [1, True, None], "a": '€"\\\x00\x1f\n\x7f\u2028', "B": {}, "": ()}
    expected = '{"":[],"B":{},"a":"€\\"\\\\\\u0000\\u001f\\n\x7f\u2028","b":[1,true,null]}'
    assert encode(value) == expected.encode()


@given(objects, st.sampled_from(["indent", "ascii", "unsorted", "spaced"]))
def test_other_forms_of_a_value_are_refused(value: dict[str, Json], form: str) -> None:
    """JSON of the same value in any other bytes is not read."""
    match form:
        case "indent":
            other = json.dumps(value, indent=1, sort_keys=True)
        case "ascii":
            other = json.dumps(value, separators=(",", ":"), sort_keys=True)
        case "unsorted":
            backwards = dict(sorted(value.items(), reverse=True))
            other = json.dumps(backwards, separators=(",", ":"), ensure_ascii=False)
        case _:
            other = encode(value).decode() + " "
    if other.encode() == encode(value):
        assert decode(other.encode()) == value
    else:
        with pytest.raises(NotCanonicalError):
            decode(other.encode())


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"null", b"1", b'"a"', b"[]", b"{} ", b" {}", b"{}\n", b"\xef\xbb\xbf{}", b"{}{}", b"\xff",
        b'{"a":1.0}', b'{"a":1e3}', b'{"a":-0}', b'{"a":-0.0}', b'{"a":01}', b'{"a":NaN}', b'{"a":Infinity}',
        b'{"a":-Infinity}', b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"b":1,"a":2}', b'{"a":"\\u0061"}',
        b'{"a":"\\/"}', b'{"a":"\\u000A"}', b'{"a":"\\u000a"}', b'{"a":"\n"}', b'{"a":"\\ud800"}',
        b'{"\\ud800":1}', b'{"a":"\xed\xa0\x80"}', b'{"\xc3\xa9":1}', b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}', b'{"a":[9007199254740992]}', b'{"a":1' + b"0" * 5000 + b"}", b'{"a":True}',
        b"{'a':1}", b'{"a":1,}', b'{"a":[1,]}', b'{"a":"\x00"}', b"{}\x00",
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    """Other types, floats, integers beyond 2^53 - 1, doubled or non-ASCII keys, and other writings raise NotCanonicalError."""
    with pytest.raises(NotCanonicalError):
        decode(data)


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass")))
def test_bytes_are_read_or_not_canonical(data: bytes) -> None:
    """Any bytes are the canonical form of what is read, or raise NotCanonicalError and nothing else."""
    try:
        value = decode(data)
    except NotCanonicalError:
        return
    assert encode(value) == data


@given(objects, st.data())
def test_damaged_bytes_are_read_or_not_canonical(value: dict[str, Json], data: st.DataObject) -> None:
    """A byte changed or cut out gives other canonical bytes, or NotCanonicalError and nothing else."""
    whole = encode(value)
    at = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=1)) + whole[at + 1 :]
    try:
        read = decode(damaged)
    except NotCanonicalError:
        return
    assert encode(read) == damaged


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
@pytest.mark.parametrize("wrap", [lambda text: {"a": text}, lambda text: {"a": [{text: 1}]}])
def test_lone_surrogates_have_no_form(text: str, wrap: object) -> None:
    """Text that is no Unicode is refused, as a value and as a key."""
    assert callable(wrap)
    with pytest.raises(NotCanonicalError):
        encode(wrap(text))


def test_nesting_is_bounded() -> None:
    """64 levels are read; one more, or more than any parser takes, raises NotCanonicalError."""
    assert encode(decode(listed(MAX_DEPTH))) == listed(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 500, 900, 1000, 100_000):
        with pytest.raises(NotCanonicalError):
            decode(listed(depth))
    with pytest.raises(NotCanonicalError):
        decode(b'{"a":' * 100_000 + b"{}" + b"}" * 100_000)


def test_the_largest_integers_are_read() -> None:
    """Plus and minus 2^53 - 1 are inside."""
    value: Mapping[str, Json] = {"a": MAX_INTEGER, "b": -MAX_INTEGER}
    assert decode(encode(value)) == value
