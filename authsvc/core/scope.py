"""The scope grammar of the registry token protocol (docs/content/spec/auth/scope.md): parse, merge, print.

Parsing never fails: what is no scope is kept as `odd`, gets no access, and is recorded (token-protocol A2.41).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

WILDCARD = "*"
MAX_ACTIONS = 64

_TYPE = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")
_ACTION = re.compile(r"[a-z][a-z_-]{0,63}|\*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a client asks for one resource: its type (the class stripped), its name as asked, and sorted actions."""

    type: str
    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}"


@dataclass(frozen=True, slots=True)
class ParsedScopes:
    """What a request asks: scopes merged by resource in the order of their first mention, and what was no scope."""

    scopes: tuple[Scope, ...]
    odd: tuple[str, ...]


def split_scopes(values: Iterable[str]) -> list[str]:
    """Return the scope strings of repeated parameters that may each hold several, separated by spaces (A2.25-29)."""
    return [text for value in values for text in value.split(" ") if text]


def parse_scope(text: str) -> Scope | None:
    """Return one scope, or None when `text` is none.

    The type ends at the first colon and the actions begin after the last, as a name may hold a port (A2.32).
    """
    type_, _, rest = text.partition(":")
    name, separator, action_list = rest.rpartition(":")
    matched = _TYPE.fullmatch(type_)
    actions = sorted({action for action in action_list.split(",") if action})
    if not (separator and name.isprintable() and name and actions) or matched is None:
        return None
    if len(actions) > MAX_ACTIONS:
        return None
    if any(_ACTION.fullmatch(action) is None for action in actions):
        return None
    return Scope(matched[1], name, tuple(actions))


def parse_scopes(values: Iterable[str]) -> ParsedScopes:
    """Return everything that `values` ask; the same resource asked twice is one scope with both's actions (A2.30-34)."""
    merged: dict[tuple[str, str], Scope] = {}
    odd: dict[str, None] = {}
    for text in split_scopes(values):
        scope = parse_scope(text)
        if scope is None:
            odd[text] = None
            continue
        key = (scope.type, scope.name)
        known = merged.get(key)
        if known is not None:
            scope = Scope(scope.type, scope.name, tuple(sorted({*known.actions, *scope.actions})))
        merged[key] = scope
    return ParsedScopes(tuple(merged.values()), tuple(odd))
