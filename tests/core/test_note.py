from contextlib import suppress

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.core.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Checkpoint,
    NoteError,
    Signature,
    SignedNote,
    VerifierKey,
    parse_note,
    parse_verifier_key,
    read_plain_checkpoint,
    sign_note,
    verifier_key,
    verify_note,
)

# The examples of C2SP signed-note and tlog-checkpoint.
EXAMPLE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZ"
    "XsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
EXAMPLE_POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaq"
    "P3ZekRwNtIc=\n"
)
EXAMPLE_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE"
    "+xeMcTOAYQ8=\n"
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey("log.example/1", PRIVATE.public_key().public_bytes_raw())
OTHER_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = VerifierKey("witness.example", OTHER_PRIVATE.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint(origin="log.example/1", size=7, root=bytes(range(32)))
NOTE = sign_note(CHECKPOINT.to_text(), key=KEY, sign=PRIVATE.sign)


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Verify as an adapter would."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_the_published_note_is_verified_by_the_published_key() -> None:
    """The example of C2SP signed-note holds, key id, vkey and all."""
    key = parse_verifier_key(EXAMPLE_VKEY)
    assert verifier_key(key.name, key.public) == EXAMPLE_VKEY
    assert verify_note(EXAMPLE_NOTE, [key], ed25519).text == "This is an example message.\n"


def test_the_text_ends_at_the_last_empty_line() -> None:
    """A text with an empty line inside is kept whole, non-ASCII letters included."""
    note = parse_note(EXAMPLE_POEM)
    assert note.text.endswith("di sole:\n\ned è subito sera.\n")
    assert [signature.name for signature in note.signatures] == ["quasimodo.example/salvatore"]


def test_the_published_checkpoint_is_read() -> None:
    """The example of C2SP tlog-checkpoint is read, and written again byte for byte."""
    note = parse_note(EXAMPLE_CHECKPOINT)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")
    assert SignedNote(checkpoint.to_text(), note.signatures).to_text() == EXAMPLE_CHECKPOINT


def test_what_was_signed_is_verified() -> None:
    """A signed checkpoint comes back as it was."""
    assert Checkpoint.parse(verify_note(NOTE, [KEY], ed25519).text) == CHECKPOINT


def test_signatures_of_unknown_keys_are_ignored_and_not_returned() -> None:
    """A witness, even of another algorithm, may sign under ours; only what was verified is answered."""
    witness = Signature(OTHER.name, OTHER.key_id, b"of some other algorithm")
    ours = parse_note(NOTE).signatures
    note = SignedNote(CHECKPOINT.to_text(), (witness, *ours)).to_text()
    assert verify_note(note, [KEY], ed25519).signatures == ours


@pytest.mark.parametrize(
    ("name", "key_id"), [(OTHER.name, KEY.key_id), (KEY.name, OTHER.key_id)], ids=["name", "key id"]
)
def test_a_key_is_known_by_name_and_id_together(name: str, key_id: bytes) -> None:
    """A signature that shares only one of them with a trusted key is an unknown one: ignored, and not enough."""
    stranger = Signature(name, key_id, b"x" * 64)
    ours = parse_note(NOTE).signatures
    assert (
        verify_note(SignedNote(CHECKPOINT.to_text(), (stranger, *ours)).to_text(), [KEY], ed25519).signatures
        == ours
    )
    with pytest.raises(NoteError):
        verify_note(SignedNote(CHECKPOINT.to_text(), (stranger,)).to_text(), [KEY], ed25519)


def test_one_bad_signature_by_a_trusted_key_condemns_the_note() -> None:
    """A good signature beside it does not save a note."""
    bad = Signature(OTHER.name, OTHER.key_id, b"x" * 64)
    note = SignedNote(CHECKPOINT.to_text(), (*parse_note(NOTE).signatures, bad)).to_text()
    assert len(verify_note(note, [KEY], ed25519).signatures) == 1
    with pytest.raises(NoteError):
        verify_note(note, [KEY, OTHER], ed25519)


def test_a_signature_of_another_length_is_bad() -> None:
    """An Ed25519 signature is 64 bytes, whatever a lenient verifying function says."""
    note = SignedNote("text\n", (Signature(KEY.name, KEY.key_id, b"x" * 63),)).to_text()
    with pytest.raises(NoteError):
        verify_note(note, [KEY], lambda _public, _message, _signature: True)


def test_two_trusted_keys_of_one_name_and_id_are_refused() -> None:
    """Keys that were made to collide are not chosen between."""
    first: dict[bytes, VerifierKey] = {}
    for number in range(2**20):
        key = VerifierKey("log.example", number.to_bytes(32, "big"))
        if key.key_id in first:
            with pytest.raises(NoteError):
                verify_note(NOTE, [KEY, key, first[key.key_id]], ed25519)
            return
        first[key.key_id] = key
    pytest.fail("no collision in 2^20 keys, where 128 were to be expected")


def test_no_trusted_key_means_no_trust() -> None:
    """A note that nobody known has signed is refused, however well formed."""
    for keys in ([], [OTHER]):
        with pytest.raises(NoteError):
            verify_note(NOTE, keys, ed25519)


@given(st.integers(min_value=0, max_value=len(NOTE) - 1), st.characters())
@example(len(NOTE) - 4, "R")
def test_no_changed_note_is_verified(at: int, character: str) -> None:
    """Whatever one character is replaced by, the note is refused: nothing in it is malleable."""
    changed = NOTE[:at] + character + NOTE[at + 1 :]
    if changed != NOTE:
        with pytest.raises(NoteError):
            verify_note(changed, [KEY], ed25519)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE + " \n",
        NOTE + "trailing",
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("— ", "-- "),
        NOTE.replace("— ", "—  "),
        NOTE.replace("— ", "—\N{NO-BREAK SPACE}"),
        NOTE.replace("— log", "— l\N{IDEOGRAPHIC SPACE}og"),
        NOTE.replace("— log", "— l+og"),
        NOTE.replace("=\n\n", "\n\n").replace("=\n", "\n"),
        NOTE[:-1] + " \n",
        NOTE[:-1] + "=\n",
        "a\tb\n\n— a AAAAAAA=\n",
        "a\x00b\n\n— a AAAAAAA=\n",
        "a\ud800b\n\n— a AAAAAAA=\n",
        "a\n\n— a AAAAAA==\n",
        "a\n\n— a AAAAAAB=\n",
        "a\n\n— a AAAA_AA=\n",
        "a\n\n— a \n",
        "a\n\na AAAAAAA=\n",
        "a\n\n— a AAAAAAA=\n— a AAAAAAA=",
        "a\n\n—  AAAAAAA=\n",
        "a\n\n" + "— a AAAAAAA=\n" * (MAX_SIGNATURES + 1),
        "a" * MAX_NOTE_BYTES + "\n\n— a AAAAAAA=\n",
    ],
)
def test_malformed_notes_are_refused(note: str) -> None:
    """Line ends, dashes, spaces, padding, control characters and sizes are taken strictly."""
    with pytest.raises(NoteError):
        parse_note(note)


@pytest.mark.parametrize(
    "size", ["", "-1", "+1", "01", "00", " 1", "1 ", "1_0", "0x1", "1.0", "٣", "²", str(2**63), "9" * 5000]
)
def test_a_size_is_spelled_in_one_way(size: str) -> None:
    """Leading zeros, signs, spaces, underscores, foreign digits and sizes past 2^63-1 are refused."""
    lines = CHECKPOINT.to_text().split("\n")
    with pytest.raises(NoteError):
        Checkpoint.parse("\n".join([lines[0], size, *lines[2:]]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        CHECKPOINT.to_text()[:-1],
        CHECKPOINT.to_text() + "\n",
        "\n" + CHECKPOINT.to_text(),
        CHECKPOINT.to_text() + "more\n\n",
        CHECKPOINT.to_text() + "more",
        "log\n1\nAAAA\n",
        "log\n1\n",
        "log\n1\n" + "A" * 43 + "\n",
        "log\n1\n" + "A" * 42 + "B=\n",
        "l\tog\n1\n" + "A" * 43 + "=\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    """Lines that are missing, empty or unfinished and roots that are not 32 canonical bytes are refused."""
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "+",
        "++",
        EXAMPLE_VKEY.replace("530d903a", "530D903A"),
        EXAMPLE_VKEY.replace("530d903a", "530d903b"),
        EXAMPLE_VKEY.replace("foo", "fo o"),
        EXAMPLE_VKEY.replace("+Aeky", "+Beky"),
        EXAMPLE_VKEY[:-4],
        EXAMPLE_VKEY + "\n",
        EXAMPLE_VKEY + "=",
        EXAMPLE_VKEY.removeprefix("example.com/foo"),
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    """Upper case, a wrong id, another algorithm, a short key or anything appended is not that key."""
    with pytest.raises(NoteError):
        parse_verifier_key(vkey)


def test_a_plain_checkpoint_is_read_the_short_way() -> None:
    """What our logs write is read without the general parser."""
    assert read_plain_checkpoint(NOTE, KEY, ed25519) == CHECKPOINT


@given(
    st.integers(0, len(NOTE) - 1),
    st.integers(0, 2),
    st.sampled_from(["", "0", "A", "=", "+", "/", " ", "\n", "\0", "é", "\ud800"]),
)
@example(NOTE.index("\n7\n") + 1, 0, "0")
@example(len(NOTE) - 3, 1, "B")
def test_the_short_way_accepts_nothing_more(at: int, gone: int, put: str) -> None:
    """A changed checkpoint that is read the short way is one that the general parser reads, and the same."""
    changed = NOTE[:at] + put + NOTE[at + gone :]
    read = read_plain_checkpoint(changed, KEY, ed25519)
    if read is not None:
        assert read == Checkpoint.parse(verify_note(changed, [KEY], ed25519).text)
    assert (read is None) is (changed != NOTE)


@pytest.mark.parametrize(
    "text", ["other.example/1\n7\n{root}\n", "{name}\n07\n{root}\n", "{name}\n7\n{root}\nmore\n"]
)
def test_the_short_way_leaves_the_rest(text: str) -> None:
    """What our key signed of another log, in another spelling or with extensions is left to the general parser."""
    root = CHECKPOINT.to_text().split("\n")[2]
    note = sign_note(text.format(name=KEY.name, root=root), key=KEY, sign=PRIVATE.sign)
    assert read_plain_checkpoint(note, KEY, ed25519) is None


def test_what_could_not_be_read_is_not_written() -> None:
    """Texts, names and origins that the parsers would refuse are refused before they are signed."""
    with pytest.raises(NoteError):
        sign_note("no newline", key=KEY, sign=PRIVATE.sign)
    for name in ("", "a b", "a+b", "a\nb", "a\x1fb", "\ud800"):
        with pytest.raises(NoteError):
            verifier_key(name, KEY.public)
    for origin in ("", "a\nb", "a\tb", "\ud800"):
        with pytest.raises(NoteError):
            Checkpoint(origin=origin, size=0, root=bytes(32))
    for extension in ("", "a\nb"):
        with pytest.raises(NoteError):
            Checkpoint(origin="a", size=0, root=bytes(32), extensions=(extension,))
    for size in (-1, 2**63):
        with pytest.raises(NoteError):
            Checkpoint(origin="a", size=size, root=bytes(32))


line = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=12)
name = line.filter(lambda text: "+" not in text and not any(character.isspace() for character in text))
root = st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        Checkpoint,
        line,
        st.integers(min_value=0, max_value=2**63 - 1),
        root,
        st.lists(line, max_size=2).map(tuple),
    )
)
def test_checkpoints_survive_their_text(checkpoint: Checkpoint) -> None:
    """Every checkpoint that can be made is read back as itself, through a note and without one."""
    assert Checkpoint.parse(checkpoint.to_text()) == checkpoint
    note = sign_note(checkpoint.to_text(), key=KEY, sign=PRIVATE.sign)
    assert Checkpoint.parse(verify_note(note, [KEY], ed25519).text) == checkpoint


@given(
    st.builds(
        SignedNote,
        st.lists(st.one_of(line, st.just("")), max_size=4).map(lambda lines: "\n".join([*lines, ""]) or "\n"),
        st.lists(
            st.builds(Signature, name, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=70)),
            min_size=1,
            max_size=3,
        ).map(tuple),
    )
)
def test_notes_survive_their_text(note: SignedNote) -> None:
    """Every note that can be made is read back as itself, whatever empty lines its text has."""
    assert parse_note(note.to_text()) == note


@given(name, root)
def test_verifier_keys_survive_their_text(key_name: str, public: bytes) -> None:
    """Every key is read back from its vkey, base64 with plus signs included."""
    assert parse_verifier_key(verifier_key(key_name, public)) == VerifierKey(key_name, public)


pieces = st.sampled_from(
    ["\n", "\n\n", "— ", " ", "a", "0", "1", "=", "+", "AAAAAAA=", "\r", "\x00", "\ud800", *NOTE.split("\n")]
)
noise = st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join))


@given(noise)
def test_no_text_makes_a_parser_raise_anything_else(text: str) -> None:
    """Any text is refused with NoteError, or is exactly what would be written for what was read."""
    with suppress(NoteError):
        assert parse_note(text).to_text() == text
    with suppress(NoteError):
        assert Checkpoint.parse(text).to_text() == text
    with suppress(NoteError):
        key = parse_verifier_key(text)
        assert verifier_key(key.name, key.public) == text
