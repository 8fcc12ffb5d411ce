"""What may be chosen as a password, and what is hashed of it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.adapters.common_passwords import read_common_passwords
from authsvc.core.password import MAX_PASSWORD, MIN_PASSWORD, describe_bad_password, normal_password

COMMON = read_common_passwords()
WORDS = ("alice", "a.liddell", "registry.test", "Müller")


def fault(password: str) -> str | None:
    """Return what is wrong with a password of alice's."""
    return describe_bad_password(password, words=WORDS, common=COMMON)


def test_the_list_is_what_it_says() -> None:
    """Many passwords, each long enough to be chosen otherwise, in lower case, without the file's comments."""
    assert len(COMMON) > 20_000
    assert all(len(password) >= MIN_PASSWORD and password == password.casefold() for password in COMMON)
    assert not any(password.startswith("#") or "Copyright" in password for password in COMMON)


@pytest.mark.parametrize(
    "password",
    [
        "password", "PassWord", "password1", "P@ssw0rd", "12345678", "qwertyuiop", "iloveyou", "changeme123", "Summer2026!",
        "docker123", "Docker!!!", "authsvc2026", "registry1", "admin1234", "dockerdocker", "alice123", "Alice-2030", "alicealice",
        "ALICE!!!", "a.liddell", "registry.test", "müller99", "aaaaaaaa", "abcdefgh", "87654321", " " * 12, "\u3000" * 9,
    ],
)  # fmt: skip
def test_what_is_tried_first_is_refused(password: str) -> None:
    """Common passwords in any case, and what is nothing but a known word with ornaments, cannot be chosen."""
    assert fault(password) is not None


@pytest.mark.parametrize(
    "password",
    [
        "alices-password", "alice-pass-1", "Passw0rd!23", "secret123456",
        "correct horse battery staple", "of alice", "admin-password-1", "long-enough", "docker run it",
        "pässwörter sind lang", "秘密の言葉は長い方がいい", "x7!kQ2pz", "alice and the rabbit", "🐇" * 8, "tab\tnul\0esc\x1b",
    ],
)  # fmt: skip
def test_what_is_not_guessed_at_once_is_accepted(password: str) -> None:
    """No rule asks for letters, digits or signs, and no alphabet is left out."""
    assert fault(password) is None


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=3 * MIN_PASSWORD, max_size=300))
def test_any_text_can_be_a_password(text: str) -> None:
    """Any Unicode text of some length is accepted that is not made of a known word alone."""
    assert fault("z" + text) is None


@pytest.mark.parametrize(
    ("length", "is_good"),
    [
        (MIN_PASSWORD - 1, False),
        (MIN_PASSWORD, True),
        (128, True),
        (MAX_PASSWORD, True),
        (MAX_PASSWORD + 1, False),
    ],
)
def test_length_is_counted_in_characters(length: int, is_good: bool) -> None:
    """From 8 to 1024 characters, whatever these cost in bytes; a letter with its accent is one."""
    for alphabet in ("xyz-5", "äöü-ß", "秘密言葉長"):
        password = (alphabet * length)[:length]
        assert (fault(password) is None) is is_good, password[:9]
    assert fault(unicodedata.normalize("NFD", "ä5ö7ü9é")) is not None


def test_what_is_no_text_is_refused() -> None:
    """JSON can carry half a character, which nobody can type, and four thousand bytes are enough."""
    assert fault("half \ud800 a character") == "must be Unicode text"
    assert "bytes" in str(fault("\U0001d160" * 1000))


@given(st.text(max_size=200))
def test_equivalent_texts_are_one_password_and_no_others(text: str) -> None:
    """However a keyboard composes a letter it is the same; case, width and spaces count; nothing is cut off."""
    for form in ("NFC", "NFD"):
        assert normal_password(unicodedata.normalize(form, text)) == normal_password(text)
    assert normal_password(text + "x") != normal_password(text)
    assert normal_password("A" + text) != normal_password("a" + text)
