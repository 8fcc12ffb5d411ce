"""The command line as an administrator uses it, beside a running service: it does what the API does, and the log says who."""

import getpass
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.deployment import Json, Service, password_of
from tests.interop.programs import AUTHSVC, PATIENCE, run

SLOW = 600
"""Seconds that a test may take: each command is a process that reads everything anew, on a machine that may be busy."""

SERVICE = "registry.localhost"
PULL = "repository:shop/app:pull"

NOUNS: dict[str, tuple[str, str, str, str, Json]] = {
    "user": (
        "create ann --no-password --email ann@example.com",
        "/users",
        "ann",
        "--email ",
        {"email": None},
    ),
    "group": ("create crew", "/groups", "crew", "", {}),
    "role": (
        "create puller --permission repository:pull",
        "/roles",
        "puller",
        "--permission repository:push",
        {"permissions": ["repository:push"]},
    ),
    "project": (
        "create blog --visibility internal",
        "/projects",
        "blog",
        "--visibility public",
        {"visibility": "public"},
    ),
    "robot": ("create shop+bot", "/projects/shop/robots", "bot", "--description new", {"description": "new"}),
    "service": ("create other.test --own-key", "/services", "other.test", "--isolated", {"isolated": True}),
}


@pytest.fixture(scope="module")
def shop(service: Service) -> Service:
    """The service with a project `shop`."""
    service.add_project("shop")
    return service


@pytest.mark.timeout(SLOW)
@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_what_the_api_has(shop: Service, noun: str) -> None:
    """What a command makes, lists, shows and changes is what the API answers, member for member; and it deletes it."""
    create, path, name, change, changed = NOUNS[noun]
    named = f"shop+{name}" if noun == "robot" else name
    place = ["--project", "shop"] if noun == "robot" else []
    made = _json(shop, noun, *create.split())
    assert made == shop.api("GET", f"{path}/{name}", expect=200)
    listed, items = _json(shop, noun, "list", *place), shop.api("GET", path, expect=200)["items"]
    assert made in listed
    assert list(map(_lasting, listed)) == list(map(_lasting, items))
    if change:
        option, _, value = change.partition(" ")
        expected = {**made, **changed}
        assert _json(shop, noun, "change", named, option, *([value] if " " in change else [])) == expected
        assert _json(shop, noun, "show", named) == expected
    shop.command(noun, "delete", named).succeeded()
    assert shop.command(noun, "show", named).failed(code=1, saying="no such").out == ""
    shop.api("GET", f"{path}/{name}", expect=404)


@pytest.mark.timeout(SLOW)
def test_a_binding_and_its_conditions(shop: Service) -> None:
    """A binding has the place, the subject and the conditions of its options; a change leaves or clears the others."""
    shop.add_user("binder")
    options = (
        "--project shop --user binder --role reader --repository app --cidr 127.0.0.0/8 --expires-in 30d"
    )
    made = _json(shop, "binding", "create", *options.split())
    path = f"/projects/shop/bindings/{made['id']}"
    assert made == shop.api("GET", path, expect=200)
    assert (made["project"], made["repositories"], made["cidrs"]) == ("shop", ["app"], ["127.0.0.0/8"])
    assert made["expires_at"] is not None
    assert _granted(shop, "binder") == ["pull"]
    place = ["--project", "shop"]
    changed = _json(
        shop, "binding", "change", made["id"], *place, "--cidr", "192.0.2.0/24", "--expires-at", ""
    )
    assert changed == {**made, "cidrs": ["192.0.2.0/24"], "expires_at": None}
    assert _granted(shop, "binder") == []
    assert made["id"] in shop.command("binding", "list", *place).succeeded().out
    shop.command("binding", "delete", made["id"], "--system").failed(code=1, saying="no such binding")
    shop.command("binding", "delete", made["id"], *place).succeeded()
    shop.api("GET", path, expect=404)


@pytest.mark.timeout(SLOW)
def test_disabling_is_effective_at_once(shop: Service) -> None:
    """Once `user disable` has returned the password gets no token; `user enable` gives it back."""
    account = shop.add_user("leaver")
    assert shop.ask(params={"service": SERVICE}, by=account).status_code == 200
    shop.command("user", "disable", "leaver").succeeded()
    assert shop.ask(params={"service": SERVICE}, by=account).status_code == 401
    shop.command("user", "enable", "leaver").succeeded()
    assert shop.ask(params={"service": SERVICE}, by=account).status_code == 200


@pytest.mark.timeout(SLOW)
def test_members(shop: Service) -> None:
    """Who is put into a group has what is bound to it, and who is taken out has it no more."""
    shop.add_user("member")
    shop.api("POST", "/groups", {"name": "readers"}, expect=201)
    shop.bind("reader", "group", "readers", "shop")
    told = shop.command("group", "members", "readers").succeeded().out
    assert "authsvc group add-member readers" in told
    shop.command("group", "add-member", "readers", "member").succeeded()
    assert _json(shop, "group", "members", "readers") == [{"name": "member"}]
    assert _granted(shop, "member") == ["pull"]
    shop.command("group", "remove-member", "readers", "member").succeeded()
    assert _granted(shop, "member") == []


@pytest.mark.timeout(SLOW)
def test_a_robot_s_secrets(shop: Service) -> None:
    """Two secrets live at once and each is shown once: no list, no event and no log of the service holds its text."""
    shop.api("POST", "/projects/shop/robots", {"name": "twice"}, expect=201)
    first = _json(shop, "secret", "create", "shop+twice", "--label", "one", "--expires-in", "90d")
    shown = shop.command("secret", "create", "shop+twice", "--label", "two").succeeded()
    second = shown.out.split()[-1]
    assert "only time" in shown.err
    for text in (first["secret"], second):
        assert shop.ask(params={"service": SERVICE}, by=("shop+twice", text)).status_code == 200
    shop.command("secret", "create", "shop+twice").failed(code=1, saying="two secrets live already")
    listed = shop.command("secret", "list", "shop+twice").succeeded().out
    assert first["id"] in listed
    shop.command("secret", "delete", "shop+twice", first["id"]).succeeded()
    assert shop.ask(params={"service": SERVICE}, by=("shop+twice", first["secret"])).status_code == 401
    assert shop.ask(params={"service": SERVICE}, by=("shop+twice", second)).status_code == 200
    events = shop.command("audit", "query", "--limit", "200", "-o", "json").succeeded().out
    assert first["id"] in events
    for text in (first["secret"], second):
        assert text.split("_")[2] not in listed + events + shop.program.log(10_000_000)


@pytest.mark.timeout(SLOW)
def test_tokens_and_sessions(shop: Service) -> None:
    """A token works within its scopes; what was signed in with is listed as a session; both end when they are deleted."""
    shop.add_member("shop", "worker", "reader")
    made = _json(
        shop, "token", "create", "worker", "--scope", "repository:shop/app:pull", "--expires-in", "1d"
    )
    by = ("worker", made["token"])
    assert shop.ask(params={"service": SERVICE}, by=by).status_code == 200
    (listed,) = _json(shop, "token", "list", "worker")
    assert {**_lasting(listed), "token": made["token"]} == _lasting(made)
    offline = {"service": SERVICE, "offline_token": "true", "client_id": "docker"}
    refresh = shop.ask(params=offline, by=("worker", password_of("worker"))).json()["refresh_token"]
    (session,) = _json(shop, "session", "list", "worker")
    assert (session["service"], refresh.count(session["id"])) == (SERVICE, 1)
    shop.command("session", "delete", "worker", session["id"]).succeeded()
    form = {
        "grant_type": "refresh_token",
        "service": SERVICE,
        "client_id": "docker",
        "refresh_token": refresh,
    }
    assert shop.ask("POST", data=form).status_code == 401
    shop.command("token", "delete", "worker", made["id"]).succeeded()
    assert shop.ask(params={"service": SERVICE}, by=by).status_code == 401


@pytest.mark.timeout(SLOW)
def test_passwords_are_asked_for(shop: Service) -> None:
    """At a terminal a password is asked for twice and not shown; from standard input it is one line; both can sign in."""
    shown = _at_terminal(shop, ["user", "create", "typist"], ["a typed password", "a typed password"])
    assert "a typed password" not in shown
    assert shop.ask(params={"service": SERVICE}, by=("typist", "a typed password")).status_code == 200
    shop.command("user", "set-password", "typist", "--stdin", stdin="a piped password\n").succeeded()
    assert shop.ask(params={"service": SERVICE}, by=("typist", "a typed password")).status_code == 401
    assert shop.ask(params={"service": SERVICE}, by=("typist", "a piped password")).status_code == 200
    told = shop.command("user", "set-password", "typist", "--stdin", stdin="short\n").failed(
        code=1, saying="password"
    )
    assert "short" not in told.err


@pytest.mark.timeout(SLOW)
def test_the_log_names_who_was_at_the_console(shop: Service) -> None:
    """A change from the console is an event of the system's, with the console as credential and the machine's user as its id."""
    made = _json(shop, "group", "create", "logged")
    events = _json(shop, "audit", "query", "--kind", "policy.group.created", "--actor", "system")
    (event,) = [event for event in events if event["state"]["id"] == made["id"]]
    assert event["actor"] == {"kind": "system", "name": "system"}
    assert event["credential"]["kind"] == "console"
    assert getpass.getuser() in event["credential"]["id"].split()
    assert "address" not in event


@pytest.mark.timeout(SLOW)
def test_long_lists_are_whole(shop: Service) -> None:
    """A list goes on beyond the largest page of the API, each thing once and in order; `--limit` cuts it, and says so."""
    for number in range(205):
        shop.api("POST", "/groups", {"name": f"many-{number:03}"}, expect=201)
    names = [group["name"] for group in _json(shop, "group", "list")]
    assert len([name for name in names if name.startswith("many-")]) == 205
    assert names == sorted(set(names))
    cut = shop.command("group", "list", "--limit", "203", "-o", "json").succeeded()
    assert [group["name"] for group in json.loads(cut.out)] == names[:203]
    assert "--limit" in cut.err


@pytest.mark.timeout(SLOW)
def test_a_database_of_one_s_own(shop: Service, tmp_path: Path) -> None:
    """With AUTHSVC_DATABASE_URL and the keys the commands work from another folder."""
    url = shop.command("db", "url", "--role", "app").succeeded().out.strip()
    keys = str(shop.folder / "data" / "keys")
    env = {**shop.env, "AUTHSVC_DATABASE_URL": url, "AUTHSVC_KEYS_DIR": keys}
    ended = run([*AUTHSVC, "project", "show", "shop", "-o", "json"], env=env, folder=tmp_path).succeeded()
    assert json.loads(ended.out) == shop.api("GET", "/projects/shop", expect=200)
    absent = {**env, "AUTHSVC_DATABASE_URL": "postgresql://nobody:pass-word@127.0.0.1:1/none"}
    told = run([*AUTHSVC, "user", "list"], env=absent, folder=tmp_path).failed(code=1, saying="authsvc: ")
    assert "AUTHSVC_DATABASE_URL" in told.err
    assert "pass-word" not in told.out + told.err


@pytest.mark.timeout(SLOW)
def test_nothing_runs(own_service: Service) -> None:
    """Where no service runs, or ran before, one line says to start it, and nothing is made."""
    told = own_service.command("user", "list").failed(code=1, saying="authsvc serve")
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert list(own_service.folder.iterdir()) == []
    own_service.start()
    own_service.stop()
    told = own_service.command("user", "list").failed(code=1, saying="authsvc serve")
    assert (told.out, len(told.err.splitlines())) == ("", 1)


def _json(service: Service, *arguments: str) -> Any:
    """Return the one document that a command prints."""
    return json.loads(service.command(*arguments, "-o", "json").succeeded().out)


def _lasting(thing: Json) -> Json:
    """Return a thing without its last use, as asking is one."""
    return {name: value for name, value in thing.items() if not name.startswith("last_used")}


def _granted(service: Service, user: str) -> list[str]:
    """Return what a user may do to shop/app, as explain says."""
    question = {"account": user, "service": SERVICE, "scopes": [PULL], "address": "127.0.0.1"}
    granted: list[str] = service.api("POST", "/explain", question, expect=200)["grants"][0]["granted"]
    return granted


def _at_terminal(service: Service, arguments: list[str], lines: list[str]) -> str:
    """Run a command at a terminal, type some lines when it asks for each, and return what stood there."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*AUTHSVC, *arguments],
        env=service.env,
        cwd=service.folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        shown = ""
        for line in lines:
            while not shown.endswith(": "):
                shown += os.read(master, 1024).decode()
            os.write(master, f"{line}\n".encode())
            shown += "\n"
        while chunk := _read(master):
            shown += chunk
        assert process.wait(PATIENCE) == 0, shown
    os.close(master)
    return shown


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 1024).decode(errors="replace")
    except OSError:  # its other end is closed
        return ""
