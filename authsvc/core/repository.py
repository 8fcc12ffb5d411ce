"""Repository names and the patterns that match them.

A name is Distribution's path grammar (docs/content/spec/api.md, "Overview"): components of lower-case letters and digits, joined
inside by `.`, `_`, `__` or dashes. The first component is the project; a name with no `/` is in the project `library`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

LIBRARY = "library"
MAX_NAME = 255
MAX_PATTERN_COMPONENTS = 32

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
"""One component of a name, as a regular expression."""

_NAME = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
_PATTERN_COMPONENT = re.compile(rf"{COMPONENT}|\*\*?")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository name lies: its project, and its path inside the project (one component at least)."""

    project: str
    path: tuple[str, ...]

    @property
    def full_path(self) -> tuple[str, ...]:
        """Return the project and the path as one sequence, which is what limits are matched against."""
        return (self.project, *self.path)


def parse_repository(name: str) -> Repository | None:
    """Return where `name` lies, or None when it is no repository name (no error: odd names get no access)."""
    return _parse_repository(name) if len(name) <= MAX_NAME else None


@lru_cache(maxsize=16_384)
def _parse_repository(name: str) -> Repository | None:
    """Remember short names only: anybody may ask about long ones, and must not fill the memory with them."""
    if _NAME.fullmatch(name) is None:
        return None
    first, *rest = name.split("/")
    return Repository(first, tuple(rest)) if rest else Repository(LIBRARY, (first,))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern: `*` stands for exactly one component, `**` for one or more, anything else for itself."""

    components: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.components)

    @property
    def is_everything(self) -> bool:
        """Say whether every path matches."""
        return self.components == ("**",)

    def matches(self, path: tuple[str, ...]) -> bool:
        """Say whether the whole of `path` matches; the work is at most components × path length, whatever the pattern."""
        if self.is_everything:
            return bool(path)
        reachable = {0}
        for component in self.components:
            if component == "**":
                start = min(reachable, default=len(path))
                reachable = set(range(start + 1, len(path) + 1))
            else:
                reachable = {at + 1 for at in reachable if at < len(path) and component in ("*", path[at])}
            if not reachable:
                return False
        return len(path) in reachable


EVERYTHING = Pattern(("**",))


def parse_pattern(text: str) -> Pattern | None:
    """Return the pattern that `text` writes, or None when it is none (regular expressions and partial wildcards are not)."""
    components = tuple(text.split("/"))
    if len(text) > MAX_NAME or len(components) > MAX_PATTERN_COMPONENTS:
        return None
    if any(_PATTERN_COMPONENT.fullmatch(component) is None for component in components):
        return None
    return Pattern(components)
