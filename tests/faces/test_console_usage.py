"""The command line before it opens anything: usage errors, what options mean, and how answers are printed."""

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner

from authsvc.core.canonical import Json
from authsvc.faces.cli.main import application
from authsvc.faces.cli.options import end_of, parse_duration, read_body, read_password, read_robot
from authsvc.faces.cli.output import Form, show, show_list, show_one
from authsvc.faces.models import BindingPatch, UserPatch
from tests.test_readme import commands

NOW = datetime(2030, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
ROW: dict[str, Json] = {
    "id": "abcdefghijklmnop",
    "name": "alice",
    "description": "why " * 60,
    "disabled": False,
}


def test_json_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on a terminal holds nothing that is obeyed or hidden there, whoever wrote it, and reads as what it was."""
    asked = "acme/\x9b31m\x7f\u202e\u2028\U000e0041é"
    show([{"name": asked}], Form.JSON)
    printed = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert "é" in printed
    assert json.loads(printed) == [{"name": asked}]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("user create alice", "--stdin or --no-password"),
        ("user create alice --stdin --no-password", "either"),
        ("user create alice --no-password --email nobody", "--email"),
        ("user change alice", "nothing to change"),
        ("user show", "USER"),
        ("user set-password alice", "--stdin"),
        ("role create r", "--permission"),
        ("role create r --permission pull", "--permission"),
        ("binding list", "--project"),
        ("binding list --project acme --system", "--project"),
        ("binding create --role reader --project acme", "--user"),
        ("binding create --role reader --project acme --user alice --group web", "--user"),
        ("binding create --role reader --project acme --user alice --cidr 10.0.0.1/8", "--cidr"),
        ("binding create --role reader --project acme --user alice --repository a*", "--repository"),
        ("binding create --role reader --project acme --user alice --expires-at tomorrow", "--expires-at"),
        ("binding create --role reader --project acme --user alice --expires-in soon", "--expires-in"),
        ("secret create acme+ci --expires-in 1d --expires-at 2030-01-01T00:00:00Z", "--expires-in"),
        ("secret create ci", "acme+ci"),
        ("token create alice --scope everything", "--scope"),
        ("service change s --token-ttl-seconds 1", "--token-ttl-seconds"),
        ("user list --limit 0", "--limit"),
        ("user list -o yaml", "--output"),
        ("audit query --kind nonsense", "--kind"),
        ("audit query --since yesterday", "--since"),
        ("audit export --outcome good", "--outcome"),
        ("audit verify --dsn nonsense", "--dsn"),
    ],
)
def test_usage_errors(command: str, told: str) -> None:
    """What cannot be understood ends with 2, names the option on standard error, and opens nothing."""
    ended = CliRunner().invoke(application, command.split())
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""
    assert told in ended.stderr


def test_no_secret_is_an_argument() -> None:
    """No command takes a password, a token's or a secret's text as an option or argument, where other users would see it."""
    for name, command in commands().items():
        for parameter in command.params:
            is_harmless = getattr(parameter, "is_flag", False) or "standard input" in getattr(
                parameter, "help", ""
            )
            secret = re.search("password|secret|passphrase|token$", str(parameter.name))
            assert is_harmless or secret is None, (name, parameter.name)


@pytest.mark.parametrize(
    ("text", "duration"),
    [("90d", timedelta(days=90)), ("12h", timedelta(hours=12)), ("2w", timedelta(weeks=2))],
)
def test_durations(text: str, duration: timedelta) -> None:
    """An end in so long is counted from now on, to the second."""
    assert parse_duration(text) == duration
    assert end_of(None, duration, NOW) == NOW.replace(microsecond=0) + duration


@pytest.mark.parametrize("text", ["", "0d", "d", "1", "-1d", "1.5h", "999999d", "1y", "१d"])
def test_no_durations(text: str) -> None:
    """What is no duration, or none that the database could hold, is a usage error."""
    with pytest.raises(typer.BadParameter):
        parse_duration(text)


def test_robots_are_named_in_full() -> None:
    """A robot's name says where it is, `system` being no project."""
    assert read_robot("acme+ci") == ("acme", "ci")
    assert read_robot("system+scan") == (None, "scan")


def test_an_empty_value_clears() -> None:
    """An empty value is null where the API has null, and an empty list for a list; what was not given is not sent."""
    assert read_body(UserPatch, email="", display_name=None).given() == {"email": None}
    cleared = read_body(BindingPatch, cidrs=[""], expires_at="", role=None).given()
    assert cleared == {"cidrs": (), "expires_at": None}


@pytest.mark.parametrize("text", ["", "\n", "\udcff\n"])
def test_no_password_on_standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Nothing, or what is no text, is not taken for a password, and is not repeated in the error."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(typer.BadParameter) as told:
        read_password(stdin=True, otherwise="")
    assert "\udcff" not in str(told.value)


def test_tables_keep_what_people_copy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a narrow terminal ids and names stay whole, columns stay aligned, and long texts take several lines."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    show([ROW, {**ROW, "name": "bob"}], Form.TABLE, ("id", "name", "disabled", "description"))
    lines = capsys.readouterr().out.splitlines()
    whole = [line for line in lines if "abcdefghijklmnop" in line]
    assert len(whole) == 2
    assert len(lines) > 3, "the long text is folded"
    assert len({line.index("why") for line in whole}) == 1
    assert all(cell_len(line) <= 60 for line in lines[1:])  # the first is in bold


def test_tables_hold_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """What an account or a client wrote cannot move the cursor, hide a line, or be taken for markup."""
    show([{"client": "\x1b[2J\u202etxt\n[bold]:smile:"}], Form.TABLE)
    show_one({"client": "\x1b[2J\u202etxt\n[bold]:smile:"}, Form.TABLE)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert printed.count("\\x1b[2J\\u202etxt\\n[bold]:smile:") == 2


def test_empty_lists_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A person is told what to do next; a machine reads an empty array."""
    show([], Form.TABLE, empty="make one")
    show([], Form.JSON, empty="make one")
    assert capsys.readouterr().out == "make one\n[]\n"


def test_a_list_that_goes_on_says_so_beside_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    """The hint that there is more goes to standard error, so that standard output stays one JSON document."""
    show_list(([ROW], True), lambda row: row, ("id",), Form.JSON, empty="")
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [ROW]
    assert "--limit" in printed.err
