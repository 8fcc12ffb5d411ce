"""Templates: what entries have in common that differ in the nonce, the revision, the times and the client's address alone.

Nodes ask for the same images over and over, so that most entries of issued tokens are like an earlier one but for these. Such an
entry has the earlier one's form, columns and grants, and need not be parsed.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from struct import Struct
from typing import Any, Self

from authsvc.core.canonical import Json
from authsvc.core.event import IndexRow
from authsvc.core.kind import Kind

_TEXT = rb'"[^"\\]*"'
_INTEGER = rb"([1-9][0-9]{0,14})"
_TIME = rb"([1-8][0-9]{15})"
_NONCE = b',"nonce":"'
_NONCE_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_PLAIN_NONCE = rb"([" + _NONCE_CHARACTERS + rb"]{1,64})"
_PLAIN_ADDRESS = rb"[0-9A-Fa-f.:]{1,45}"
_MEMBER = rb'"[a-z]+":' + _TEXT
# INVARIANT: in an entry that is JSON what these match is what it says. The head begins where the entry does. No text can hold
# what the tails begin with, as its quotes would be escaped; from there to the entry's end they close one brace more than they
# open, so that the nonce, and all that stands beside it, is a member of the entry itself.
_HEAD = re.compile(
    rb'\{"actor":\{' + _MEMBER + rb"(?:," + _MEMBER + rb')*\},"address":"(?=' + _PLAIN_ADDRESS + rb'")'
)
_TOKEN_TAIL = re.compile(
    _NONCE + _PLAIN_NONCE + rb'","outcome":"[a-z]+"(?:,"peer":' + _TEXT + rb')?,"revision":' + _INTEGER
    + rb',"rule":[0-9],"service":' + _TEXT + rb',"time":' + _TIME + rb',"token":\{"aud":' + _TEXT + rb',"exp":' + _INTEGER
    + rb',"iss":' + _TEXT + rb',"nbf":' + _INTEGER + rb',"sub":' + _TEXT + rb'\},"v":1\}'
)  # fmt: skip
_OTHER_TAIL = re.compile(
    _NONCE + _PLAIN_NONCE + rb'"(?:,"(?:outcome|peer|reason|service)":' + _TEXT + rb')+,"time":' + _TIME + rb',"v":1\}'
)  # fmt: skip
_ADDRESS = re.compile(_PLAIN_ADDRESS)


@dataclass(frozen=True, slots=True)
class Form:
    """How columns are held where rows come from: what an entry's are joined to is equal to what is stored right.

    `of` all but the first and the last, which are the time in microseconds since 1970 and the address. `join` makes the columns
    of many entries of what these three are of each; `split` takes those of one apart, in the order of an IndexRow, to tell which
    differs. `hint` is the part of them that rarely differs between entries alike, and rarely is another's; it proves nothing.
    """

    of: Callable[[IndexRow], Hashable]
    of_address: Callable[[str | None], Hashable]
    join: Callable[[Iterable[int], Iterable[Any], Iterable[Any]], list[Hashable]]
    split: Callable[[Any], Sequence[object]]
    hint: slice

    def join_one(self, time: int, middle: Hashable, address: Hashable) -> Hashable:
        """Return the columns of one entry."""
        return self.join([time], [middle], [address])[0]


def _join_plain(
    times: Iterable[int], middles: Iterable[tuple[object, ...]], addresses: Iterable[str | None]
) -> list[Hashable]:
    of_each = zip(times, middles, addresses, strict=True)
    return [(time, *middle, address) for time, middle, address in of_each]


PLAIN = Form(
    of=lambda index: tuple(index[1:-1]),
    of_address=lambda address: address,
    join=_join_plain,
    split=tuple,
    hint=slice(1, -1),
)
"""Columns as an IndexRow has them, the time in microseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What entries have in common: their kind, and their columns but for time and address as rows hold them.

    `fields` returns the first of them as an object, which was so many bytes. `is_watched` says that they are of policy, or tell
    what became of the log: these are few, and each is looked at.
    """

    kind: Kind
    is_watched: bool
    columns: Hashable
    fields: Callable[[], Mapping[str, Json]]
    size: int


Cut = tuple[bytes, tuple[bytes, ...]]
"""What was cut out of an entry: the address, and the parts after it: what stays and what does not, in turns."""


@dataclass(frozen=True, slots=True)
class Template:
    """An entry of which parts were cut out: another that is the same around parts of the same form is of the same shape.

    `head` goes up to the address. What follows the address is laid out in parts that stay and parts that were cut out, in turns:
    the nonce, then numbers, of which the one at `time_at` among all parts is the time.

    INVARIANT: each part that is cut out is a whole JSON value of one form, which `are_plain` and `is_plain_address` tell: a text
    that needs no escapes, or an integer below 2^53 of the same number of digits without leading zeros. So another entry is
    canonical as the first was, and each part is the value of the same member.
    """

    head: bytes
    layout: Struct
    stays: tuple[bytes, ...]
    time_at: int
    shape: Shape

    @classmethod
    def of(cls, data: bytes, alike: Sequence[Self], learn: Callable[[bytes], Shape]) -> Self | None:
        """Return the template of an entry, or None when it is none of those that there are many of.

        Of templates that are alike but for numbers of other lengths the shape is the same; otherwise it is learned, for which the
        entry must be canonical.
        """
        nonce = data.rfind(_NONCE)
        if nonce < 0:
            return None
        tail = _TOKEN_TAIL.fullmatch(data, nonce) or _OTHER_TAIL.fullmatch(data, nonce)
        before = _HEAD.match(data)
        if tail is None or before is None:
            return None
        bounds = [data.index(b'"', before.end()), *chain.from_iterable(tail.regs[1:]), len(data)]
        parts = [data[start:end] for start, end in pairwise(bounds)]
        head, layout = before.group(), _layout_of(tuple(map(len, parts)))
        stays = (parts[0], *map(_interned, parts[2:-1:2]), parts[-1])
        for known in alike:
            if (known.head, known.stays) == (head, stays):
                return cls(known.head, layout, known.stays, known.time_at, known.shape)
        time_at = (
            5 if tail.re is _TOKEN_TAIL else 3
        )  # after the nonce, and of tokens after the policy revision
        return cls(head, layout, stays, time_at, learn(data))

    def cut(self, data: bytes) -> Cut | None:
        """Return what is cut out of an entry when it is the same around that, and nothing else about it."""
        layout, begin = self.layout, len(self.head)
        end = len(data) - layout.size
        if end < begin or data[:begin] != self.head:
            return None
        parts = layout.unpack_from(data, end)
        return (data[begin:end], parts) if parts[::2] == self.stays else None


@lru_cache(maxsize=1_024)
def _layout_of(lengths: tuple[int, ...]) -> Struct:
    return Struct("".join(f"{length}s" for length in lengths))


@lru_cache(maxsize=1_024)
def _interned(part: bytes) -> bytes:
    """Return the same object for a part that many templates have."""
    return part


def are_plain(nonces: Sequence[bytes], times: Sequence[bytes], numbers: Sequence[bytes]) -> bool:
    """Say whether what was cut out of entries has the form that it must have; the times are among the numbers."""
    return not numbers or (
        b"".join(numbers).isdigit()
        and min(numbers) >= b"1"
        and max(times) < b"9"
        and not b"".join(nonces).translate(None, _NONCE_CHARACTERS)
    )


def is_plain_address(address: bytes) -> bool:
    """Say whether it is written as addresses are: another text might need escapes."""
    return _ADDRESS.fullmatch(address) is not None
