"""The README against the code: whatever a user can set, call or meet in the log is explained there."""

import re
from pathlib import Path

import pytest

from authsvc.config import PREFIX, Settings
from authsvc.core.event import Kind
from authsvc.operations.throttle import ANONYMOUS, FAILURES, WRONG_PASSWORDS

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_explained(name: str) -> None:
    """Each setting stands in the README's table under its whole name."""
    assert f"`{PREFIX}{name.upper()}`" in README


@pytest.mark.parametrize("kind", Kind)
def test_every_event_kind_is_named(kind: Kind) -> None:
    """Each kind of event is named, alone or by the braces that several share."""
    *parts, verb = kind.split(".")
    noun = parts[-1]
    families = re.findall(r"`((?:policy\.)?)(?:\{([a-z,]+)\}|([a-z]+))\.\{?([a-z,]+)\}?`", README)
    named = {
        (f"{prefix}{one}", each)
        for prefix, many, single, verbs in families
        for one in (many.split(",") if many else [single])
        for each in verbs.split(",")
    }
    assert (".".join([*parts[:-1], noun]), verb) in named


@pytest.mark.parametrize(
    "command",
    [
        "serve", "migrate", "bootstrap", "admin reset-password", "audit query", "audit verify", "keys list", "config check",
        "db url",
    ],
)  # fmt: skip
def test_every_command_is_named(command: str) -> None:
    """Each command stands in the README as it is typed."""
    assert f"`authsvc {command}" in README


def test_the_throttle_s_numbers_are_the_code_s() -> None:
    """What the README says of guessing is what is counted."""
    text = re.sub(r"\s+", " ", README)
    assert f"{WRONG_PASSWORDS} wrong passwords a minute" in text
    assert f"{FAILURES} refused credentials a minute" in text
    assert f"{ANONYMOUS} different anonymous requests a minute" in text
