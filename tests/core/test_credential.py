import re
import string
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.core.credential import (
    SECRET_ALPHABET,
    SECRET_LENGTH,
    Credential,
    CredentialKind,
    compose_secret,
    looks_like_machine_secret,
    parse_secret,
)
from authsvc.core.principal import Principal, PrincipalKind

MACHINE_KINDS = [CredentialKind.PERSONAL, CredentialKind.ROBOT, CredentialKind.REFRESH]
ID = "abcdefghij234567"
RANDOM = "0123456789ABCDEFGHIJabcdefghijklmnopqrst"
SCANNERS = re.compile(r"ats_[pru][a-z2-7]{16}_[0-9A-Za-z]{46}")

kinds = st.sampled_from(MACHINE_KINDS)
ids = st.text(st.sampled_from(string.ascii_lowercase + "234567"), min_size=16, max_size=16)
randoms = st.text(st.sampled_from(SECRET_ALPHABET), min_size=SECRET_LENGTH, max_size=SECRET_LENGTH)
anything = st.one_of(st.sampled_from("_.-+/= \n\x00é٣"), st.sampled_from(SECRET_ALPHABET), st.characters())


def test_the_form_is_fixed() -> None:
    """What is stored at clients and searched by secret scanners keeps its form, checksum included."""
    text = compose_secret(CredentialKind.ROBOT, ID, RANDOM).text
    assert text == f"ats_r{ID}_{RANDOM}22KdNM"
    assert SCANNERS.fullmatch(text)


@given(kinds, ids, randoms)
def test_what_is_composed_is_read(kind: CredentialKind, id_: str, random: str) -> None:
    """A credential's text gives back its kind and id."""
    secret = compose_secret(kind, id_, random)
    assert (secret.kind, secret.id) == (kind, id_)
    assert parse_secret(secret.text) == secret
    assert looks_like_machine_secret(secret.text)


@given(kinds, ids, randoms)
def test_texts_are_safe_everywhere(kind: CredentialKind, id_: str, random: str) -> None:
    """Letters, digits and `_` need no encoding in addresses, forms, headers or shells (A6.86)."""
    text = compose_secret(kind, id_, random).text
    assert set(text) <= set(string.ascii_letters + string.digits + "_")
    assert SCANNERS.fullmatch(text)


def test_every_change_of_one_character_is_refused() -> None:
    """Whatever character is put in whatever place, the text is no credential any more."""
    for kind in MACHINE_KINDS:
        text = compose_secret(kind, ID, RANDOM).text
        for at, original in enumerate(text):
            for other in {*SECRET_ALPHABET, *"_-. \n"} - {original}:
                assert parse_secret(text[:at] + other + text[at + 1 :]) is None


@settings(max_examples=300)
@given(kinds, ids, randoms, st.integers(min_value=0, max_value=67), anything)
def test_a_mistyped_character_is_refused(
    kind: CredentialKind, id_: str, random: str, at: int, other: str
) -> None:
    """In any credential, one wrong, missing or doubled character, or two in each other's place, is noticed."""
    text = compose_secret(kind, id_, random).text
    wrong = text[:at] + other + text[at + 1 :]
    swapped = text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    assert (parse_secret(wrong) is None) == (wrong != text)
    assert (parse_secret(swapped) is None) == (swapped != text)
    assert parse_secret(text[:at] + text[at + 1 :]) is None
    assert parse_secret(text[:at] + text[at] + text[at:]) is None


@given(st.text(max_size=80) | st.from_regex(SCANNERS))
def test_no_text_is_an_error(text: str) -> None:
    """Any text is read without an exception; what is read says what it is by itself."""
    secret = parse_secret(text)
    if secret is not None:
        assert secret.text == text
        assert looks_like_machine_secret(text)


@pytest.mark.parametrize("text", ["", "ats", "ATS_r", "password", " ats_r"])
def test_passwords_do_not_look_like_machine_secrets(text: str) -> None:
    """Only what begins with the prefix is kept from being tried as a password."""
    assert not looks_like_machine_secret(text)


@pytest.mark.parametrize(
    ("id_", "random"),
    [("", RANDOM), (ID[:-1], RANDOM), (ID.upper(), RANDOM), (ID[:-1] + "1", RANDOM), (ID, RANDOM[:-1]),
     (ID, RANDOM + "0"), (ID, RANDOM[:-1] + "-"), (ID, RANDOM[:-1] + "é"), (ID, "")],
)  # fmt: skip
def test_a_malformed_part_is_never_composed(id_: str, random: str) -> None:
    """What could not be read back is not made, and the error holds nothing of the secret."""
    with pytest.raises(ValueError, match=r"^id or secret outside their alphabets$"):
        compose_secret(CredentialKind.PERSONAL, id_, random)


def test_secrets_are_not_shown() -> None:
    """Neither a presented secret nor a stored digest is in the text of what holds it."""
    secret = compose_secret(CredentialKind.PERSONAL, ID, RANDOM)
    stored = Credential(
        ID, CredentialKind.PERSONAL, Principal(PrincipalKind.USER, "u1", "alice"), digest=b"digest-bytes"
    )
    assert RANDOM not in repr(secret)
    assert "digest-bytes" not in repr(stored)
    assert {field.name for field in fields(stored) if not field.repr} == {"digest"}
