"""Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint, read strictly and written canonically.

The core holds no Ed25519: whoever signs or verifies passes the function in.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from authsvc.core.merkle import HASH_BYTES
from authsvc.core.proof import MAX_SIZE

ED25519 = b"\x01"
KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_NOTE_BYTES = 2**20
MAX_SIGNATURES = 64

Sign = Callable[[bytes], bytes]
"""`sign(message)`: the 64 bytes of an Ed25519 signature (RFC 8032)."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""`verify(public_key, message, signature)`: whether it is good; a bad one is False and not an exception."""

_DASH = "\N{EM DASH} "
# Control characters other than newline, and lone surrogates: they have no UTF-8.
_NOT_IN_NOTES = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_NOT_IN_NAMES = re.compile(r"[\s+]")
_PLAIN_CHECKPOINT = re.compile(
    r"(?P<text>(?P<origin>[!-~]+)\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n)\n"
    + _DASH
    + r"(?P<name>[!-~]+) (?P<signature>[A-Za-z0-9+/]{91}=)\n"
)


class NoteError(Exception):
    """A note, checkpoint or verifier key is malformed, or nobody who is trusted has signed it."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key (32 bytes, RFC 8032) under the name it signs with."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        _require_name(self.name)
        if len(self.public) != PUBLIC_KEY_BYTES:
            raise NoteError("an Ed25519 public key is 32 bytes")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name the key in a signature line; a hint, not a proof of identity."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line; only the key tells the algorithm of `value`, so it may be of any length but none."""

    name: str
    key_id: bytes
    value: bytes

    def __post_init__(self) -> None:
        _require_name(self.name)
        if len(self.key_id) != KEY_ID_BYTES or not self.value:
            raise NoteError("a signature is a key id of 4 bytes and at least one more")

    def to_line(self) -> str:
        """The line as it stands in a note, its newline included."""
        return f"{_DASH}{self.name} {_encode(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text, its final newline included, and the signatures under it."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        _require_text(self.text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise NoteError(f"a note has 1 to {MAX_SIGNATURES} signatures")

    def to_text(self) -> str:
        """The whole note, as it is stored, published and parsed."""
        return f"{self.text}\n{''.join(signature.to_line() for signature in self.signatures)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log signs: its origin, the number of leaves, and the root over them (32 bytes).

    `extensions` are opaque lines that other logs may add; ours has none, as nothing audits them.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any("\n" in line for line in lines):
            raise NoteError("an origin or extension is one line that is not empty")
        _require_characters("".join(lines))
        if not 0 <= self.size <= MAX_SIZE:
            raise NoteError("the size of a tree is from 0 up to 2^63-1")
        if len(self.root) != HASH_BYTES:
            raise NoteError("the root of a tree is 32 bytes")

    def to_text(self) -> str:
        """The text to sign: one line each, every line ended by a newline."""
        return "".join(
            f"{line}\n" for line in (self.origin, str(self.size), _encode(self.root), *self.extensions)
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a verified note; raises NoteError unless it is a checkpoint."""
        origin, size, root, *extensions = _lines(text, at_least=3)
        # INVARIANT: one checkpoint has one text, so int() must not get to read "+1", "1_0" or "01".
        if (
            not (size.isascii() and size.isdigit())
            or len(size) > len(str(MAX_SIZE))
            or str(int(size)) != size
        ):
            raise NoteError("the size of a tree is a decimal number without leading zeros")
        return cls(origin=origin, size=int(size), root=_decode(root), extensions=tuple(extensions))


def verifier_key(name: str, public: bytes) -> str:
    """Write the vkey that verifiers are configured with: `name+hex(key id)+base64(0x01 || public)`."""
    key = VerifierKey(name, public)
    return f"{key.name}+{key.key_id.hex()}+{_encode(ED25519 + key.public)}"


def parse_verifier_key(text: str) -> VerifierKey:
    """Read an Ed25519 vkey; raises NoteError on another algorithm, a wrong key id or another spelling."""
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    key = VerifierKey(name, _decode(encoded).removeprefix(ED25519))
    if verifier_key(key.name, key.public) != text:
        raise NoteError("the verifier key is not spelled as its name and its Ed25519 key demand")
    return key


def sign_note(text: str, *, key: VerifierKey, sign: Sign) -> str:
    """Sign a text that ends in a newline: the whole note; `sign` must use the private half of `key`."""
    _require_text(text)
    signature = Signature(key.name, key.key_id, sign(text.encode()))
    return SignedNote(text, (signature,)).to_text()


def parse_note(note: str) -> SignedNote:
    """Split a note without trusting it: its text means nothing before `verify_note`. Raises NoteError."""
    _require_characters(note)
    if len(note.encode()) > MAX_NOTE_BYTES:
        raise NoteError("the note is too long")
    above, separator, below = note.rpartition("\n\n")
    if not separator:
        raise NoteError("no blank line stands between the text and the signatures")
    lines = _lines(below, at_least=1)
    return SignedNote(f"{above}\n", tuple(_parse_signature(line) for line in lines))


def verify_note(note: str, keys: Collection[VerifierKey], verify: Verify) -> SignedNote:
    """Parse a note and keep of its signatures those by `keys`: all of them good, and at least one.

    Signatures of other keys are ignored, as witnesses and successors may sign too. Raises NoteError when the
    note is malformed, when a signature by one of `keys` is bad, or when there is none.
    """
    known = {(key.name, key.key_id): key for key in keys}
    if len(known) != len(set(keys)):
        raise NoteError("two trusted keys have the same name and key id")
    parsed = parse_note(note)
    message = parsed.text.encode()
    trusted = tuple(
        signature for signature in parsed.signatures if (signature.name, signature.key_id) in known
    )
    for signature in trusted:
        public = known[signature.name, signature.key_id].public
        if len(signature.value) != SIGNATURE_BYTES or not verify(public, message, signature.value):
            raise NoteError("a signature by a trusted key is bad")
    if not trusted:
        raise NoteError("no trusted key has signed the note")
    return SignedNote(parsed.text, trusted)


def read_plain_checkpoint(note: str, key: VerifierKey, verify: Verify) -> Checkpoint | None:
    """Return the checkpoint of a note that `key` alone has signed, as our logs write them; None for whatever else it may be.

    What it returns is what `verify_note` and `Checkpoint.parse` would, in a quarter of their time.
    """
    plain = _PLAIN_CHECKPOINT.fullmatch(note)
    if plain is None or not plain["origin"] == plain["name"] == key.name:
        return None
    root, signature = binascii.a2b_base64(plain["root"]), binascii.a2b_base64(plain["signature"])
    if _encode(root) != plain["root"] or _encode(signature) != plain["signature"]:
        return None
    if signature[:KEY_ID_BYTES] != key.key_id:
        return None
    if not verify(key.public, plain["text"].encode(), signature[KEY_ID_BYTES:]):
        return None
    return Checkpoint(plain["origin"], int(plain["size"]), root)


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH):
        raise NoteError("a signature line begins with an em dash and a space")
    decoded = _decode(encoded)
    return Signature(name, decoded[:KEY_ID_BYTES], decoded[KEY_ID_BYTES:])


def _lines(text: str, *, at_least: int) -> list[str]:
    """The lines of a text, each ended by a newline."""
    *lines, rest = text.split("\n")
    if rest or len(lines) < at_least:
        raise NoteError("lines are missing or unfinished")
    return lines


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    """Decode base64 (RFC 4648 section 4) in its one canonical spelling: padded, no stray trailing bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise NoteError("not base64") from error
    if _encode(data) != text:
        raise NoteError("not canonical base64")
    return data


def _require_text(text: str) -> None:
    _require_characters(text)
    if not text.endswith("\n"):
        raise NoteError("the text of a note ends in a newline")


def _require_name(name: str) -> None:
    _require_characters(name)
    if not name or _NOT_IN_NAMES.search(name):
        raise NoteError("a key name is not empty and holds neither spaces nor plus signs")


def _require_characters(text: str) -> None:
    if _NOT_IN_NOTES.search(text):
        raise NoteError("control characters and lone surrogates have no place in a note")
