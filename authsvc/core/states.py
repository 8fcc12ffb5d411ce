"""Reading members of what policy entries keep: KeyError for one that is missing, TypeError for one that is another thing."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from authsvc.core.canonical import Json
from authsvc.core.event import from_microseconds

_T = TypeVar("_T")

State = Mapping[str, Json]
"""What an entry keeps of one thing: the `state()` of its record."""


def text_of(state: State, name: str) -> str:
    """Return a member that is a text."""
    value = state[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def texts_of(state: State, name: str) -> tuple[str, ...]:
    """Return a member that is a list of texts."""
    value = state[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(name)
    return tuple(value)


def parse_all(parse: Callable[[str], _T | None], texts: Iterable[str]) -> tuple[_T, ...]:
    """Return what each text writes; raises ValueError, as dropping one would answer another question."""
    parsed = [parse(text) for text in texts]
    if None in parsed:
        raise ValueError("a stored text cannot be read")
    return tuple(value for value in parsed if value is not None)


def integer_of(state: State, name: str) -> int:
    """Return a member that is an integer."""
    value = state[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(name)
    return value


def time_of(state: State, name: str) -> datetime | None:
    """Return a member that is a time in microseconds, or None."""
    return None if state[name] is None else from_microseconds(integer_of(state, name))


def object_of(state: State, name: str) -> State:
    """Return a member that is an object."""
    value = state[name]
    if not isinstance(value, Mapping):
        raise TypeError(name)
    return value


def objects_of(state: State, name: str) -> list[State]:
    """Return a member that is a list of objects."""
    value = state[name]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise TypeError(name)
    return value
