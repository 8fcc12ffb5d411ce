"""The README against the code: whatever a user can set, call or meet in the log is explained there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from authsvc.config import PREFIX, Settings
from authsvc.core.kind import Kind
from authsvc.faces.cli.main import application
from authsvc.operations.throttle import ANONYMOUS, FAILURES, REPORTED, WRONG_PASSWORDS

README = (Path(__file__).parent.parent / "README.md").read_text()


def commands() -> dict[str, TyperCommand]:
    """Return every command that is shown, by what is typed after `authsvc`."""

    def walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, TyperCommand]]:
        if isinstance(command, TyperGroup):
            for name, each in command.commands.items():
                yield from walk(each, (*path, name))
        elif isinstance(command, TyperCommand) and not command.hidden:
            yield " ".join(path), command

    return dict(walk(get_command(application), ()))


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


@pytest.mark.parametrize("command", commands())
def test_every_command_is_named(command: str) -> None:
    """Each command stands in the README as it is typed, alone or by the braces that several of one noun share."""
    *nouns, verb = command.split()
    braces = re.findall(rf"`(?:authsvc )?{' '.join(nouns)} \{{([a-z,-]+)\}}", README)
    named = re.search(rf"`(?:authsvc )?{command}\b", README) is not None
    assert named or any(verb in verbs.split(",") for verbs in braces)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help(command: str) -> None:
    """A first sentence that fits a line of the list says what a command does; each option and argument says what it is."""
    found = commands()[command]
    assert found.help
    assert not found.get_short_help_str(62).endswith("..."), "the first sentence is too long: end it earlier"
    for parameter in found.params:
        assert getattr(parameter, "help", ""), parameter.name


def test_the_throttle_s_numbers_are_the_code_s() -> None:
    """What the README says of guessing is what is counted."""
    text = re.sub(r"\s+", " ", README)
    assert f"{WRONG_PASSWORDS} wrong passwords a minute" in text
    assert f"{FAILURES} refused credentials a minute" in text
    assert f"{REPORTED:,} operations a minute" in text
    assert f"{ANONYMOUS} different anonymous requests a minute" in text
