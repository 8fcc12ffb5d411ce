"""The console's authority: an administrator's for who owns the machine, and out of reach of who comes over the network."""

import pwd
from pathlib import Path

import pytest

from authsvc.adapters.postgres.known import Basis
from authsvc.core.errors import ConflictError
from authsvc.core.presented import NameAndSecret
from authsvc.core.principal import SYSTEM, PrincipalKind
from authsvc.faces.cli import console
from authsvc.faces.cli.console import at_console
from authsvc.operations.act import Actor, identify
from authsvc.operations.administer_users import change_user, get_user, list_users
from authsvc.operations.console import AtConsole
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked
from tests.world import ADMIN, ADMIN_PASSWORD, World, password_of


async def test_a_user_called_system_is_not_the_console(world: World) -> None:
    """Who takes the name that the log gives to the console gets nothing of its authority, and cannot reach it by the name."""
    await world.add_user("system")
    by = ("system", password_of("system"))
    await world.api("GET", "/users", expect=403, by=by)
    await world.api("POST", "/projects", {"name": "acme"}, expect=403, by=by)
    me = await world.api("GET", "/me", expect=200, by=by)
    assert (me["principal"]["kind"], me["permissions"]) == ("user", [])


async def test_signing_in_never_makes_the_console(deps: Deps, world: World) -> None:
    """Whoever is identified over the network, an administrator included, is an account, and not the console."""
    await world.add_user("alice")
    for name, password in ((ADMIN, ADMIN_PASSWORD), ("alice", password_of("alice"))):
        actor = await identify(deps, NameAndSecret(name, password), address=None, peer=None, agent=None)
        assert not isinstance(actor.who, AtConsole)
        assert actor.who.principal.kind is PrincipalKind.USER


async def test_only_the_type_is_the_console(deps: Deps, world: World) -> None:
    """The principal that the log names is worth nothing by itself: without the console's type it has no authority."""
    at = at_console()
    await list_users(deps, at, Asked())
    account = await identify(deps, NameAndSecret(ADMIN, ADMIN_PASSWORD), address=None, peer=None, agent=None)
    forged = Actor(type(account.who)(SYSTEM, at.who.bindings, Basis(0), kind=account.who.kind), at.by, None)
    with pytest.raises(Exception, match="sign in again"):
        await list_users(deps, forged, Asked())


async def test_the_console_keeps_the_guards(deps: Deps, world: World) -> None:
    """The console cannot remove the last administrator either."""
    with pytest.raises(ConflictError):
        await change_user(deps, at_console(), ADMIN, {"disabled": True}, None)
    assert not (await get_user(deps, at_console(), ADMIN)).disabled


@pytest.mark.parametrize(
    ("login", "name"),
    [
        ("0", "root as {user}"),
        ("4242424", "uid 4242424 as {user}"),
        ("4294967295", "{user}"),
        ("?", "{user}"),
    ],
)
def test_who_signed_in_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, login: str, name: str
) -> None:
    """Behind `sudo` the log names who signed in to the machine as well, by number where there is no name."""
    file = tmp_path / "loginuid"
    file.write_text(login, encoding="ascii")
    monkeypatch.setattr(console, "_LOGIN", file)
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    user = pwd.getpwuid(65534).pw_name
    assert at_console().by.credential_id == name.format(user=user)
