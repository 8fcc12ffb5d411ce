"""What the things that people name may be called."""

import re
import unicodedata

from authsvc.core.repository import parse_repository

MAX_NAME = 128
RESERVED_PROJECTS = frozenset({"system"})

PLAIN_NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
"""What groups, roles and robots may be called, as a regular expression."""

_PLAIN = re.compile(PLAIN_NAME)
_SERVICE = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_USER_MARKS = frozenset("._-@")
_FILLERS = frozenset("\u115f\u1160")
"""Letters by their category that show nothing (Hangul); NFKC turns the other two fillers into these."""
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC", "HANGUL"})
"""Written together in one word, with the marks ー and 々 that have names of their own."""


def describe_bad_user_name(name: str) -> str | None:
    """Return what is wrong with a user's name, or None.

    Letters of one script, digits, and `._-@` inside, in Unicode's compatibility form: no `:` (Basic splits there), no `+` (robots
    have it), nothing invisible, and no two scripts in one name, as those make names that look alike.
    """
    if not 1 <= len(name) <= MAX_NAME:
        return f"must have 1 to {MAX_NAME} characters"
    if unicodedata.normalize("NFKC", name) != name:
        return "must be in Unicode normal form NFKC"
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "must begin and end with a letter or a digit"
    if not all(_may_be_in_user_name(character) for character in name):
        return "may hold letters, digits, '.', '_', '-' and '@' only"
    if len({_script(character) for character in name if character.isalpha()}) > 1:
        return "must not mix letters of several scripts"
    return None


def is_same_user(one: str, other: str) -> bool:
    """Say whether two texts name the same user."""
    return one == other or user_key(one) == user_key(other)


def user_key(name: str) -> str:
    """Return what two users' names may not share: the name without case."""
    return unicodedata.normalize("NFKC", name.casefold())


def describe_bad_plain_name(name: str) -> str | None:
    """Return what is wrong with the name of a group, role or robot, or None."""
    if len(name) > MAX_NAME or _PLAIN.fullmatch(name) is None:
        return "must be lower-case letters and digits, joined by single '.', '_' or '-'"
    return None


def describe_bad_project_name(name: str) -> str | None:
    """Return what is wrong with a project's name, or None: it is the first component of repository names."""
    if len(name) > MAX_NAME or "/" in name or parse_repository(name) is None:
        return "must be one component of a repository name: lower-case letters and digits, joined by '.', '_', '__' or '-'"
    if name in RESERVED_PROJECTS:
        return "is reserved for robots of the system"
    return None


def describe_bad_service_name(name: str) -> str | None:
    """Return what is wrong with a service's name, or None: any printable ASCII, as registries use what they like."""
    return (
        None
        if _SERVICE.fullmatch(name)
        else "must be 1 to 255 printable ASCII characters without spaces at its ends"
    )


def _may_be_in_user_name(character: str) -> bool:
    return (character.isalnum() and character not in _FILLERS) or character in _USER_MARKS


def _script(letter: str) -> str:
    """Return the first word of a letter's Unicode name, which is its script; Han, Kana and Hangul count as one."""
    script = unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
    return "CJK" if script in _EAST_ASIAN else script
