"""What a person may choose as a password: long enough, and not among the first that anybody would try.

No composition rules and no rotation (ASVS 5.0 6.2.5, 6.2.10): they make passwords worse. Nothing is cut off, and case counts.
"""

import string
import unicodedata
from collections.abc import Container, Iterable

MIN_PASSWORD = 8
MAX_PASSWORD = 1024
MAX_PASSWORD_BYTES = 4096
OUR_WORDS = ("authsvc", "registry", "docker", "container", "admin", "administrator")
"""What this service is about, which is what somebody who wants to get past it tries."""

_ORNAMENT = string.digits + string.punctuation + string.whitespace


def normal_password(password: str) -> bytes:
    """Return what is hashed: UTF-8 of the NFC form (RFC 8265 4.2), so that `é` is one password however a keyboard writes it.

    Defined for every text, though none with lone surrogates is ever set.
    """
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def describe_bad_password(password: str, *, words: Iterable[str], common: Container[str]) -> str | None:
    """Return what is wrong with a new password, or None.

    `words` are what is known about its owner and its place; `common` the passwords that many choose, in lower case.
    """
    normal = unicodedata.normalize("NFC", password)
    if len(normal) < MIN_PASSWORD or len(password) > MAX_PASSWORD:
        return f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters"
    if any("\ud800" <= character <= "\udfff" for character in password):
        return "must be Unicode text"
    if len(normal_password(password)) > MAX_PASSWORD_BYTES:
        return f"must have {MAX_PASSWORD_BYTES} bytes at most"
    folded = normal.casefold()
    if folded in common or not folded.strip():
        return "is one of those that are tried first: choose another, as a few words that belong to nothing"
    bare = folded.strip(_ORNAMENT)
    for word in (*OUR_WORDS, *words):
        plain = unicodedata.normalize("NFC", word).casefold()
        if plain and (folded == plain or _is_made_of(bare, plain.strip(_ORNAMENT))):
            return "is made of what is known about the account: choose another, as a few words that belong to nothing"
    return None


def _is_made_of(text: str, word: str) -> bool:
    """Say whether `text` is nothing but `word`, perhaps several times."""
    return bool(word) and bool(text) and not text.replace(word, "")
