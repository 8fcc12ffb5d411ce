"""The oracle's plain worlds in the service's own types, and the service's answer to them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

from authsvc.core.decide import Circumstances, Grant, decide
from authsvc.core.permission import Permission, Role
from authsvc.core.principal import Binding, Hold, Limit, Principal, PrincipalKind, Snapshot, Visibility
from authsvc.core.repository import Pattern, parse_pattern
from authsvc.core.scope import Scope
from authsvc.core.service import Service
from tests.core import oracle


def moment(seconds: int) -> datetime:
    """A plain time."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def pattern_of(text: str) -> Pattern:
    """A pattern that the pools of the worlds hold, which are all well formed."""
    pattern = parse_pattern(text)
    assert pattern is not None
    return pattern


def binding_of(plain: oracle.Binding, id_: str) -> Binding:
    """A plain binding, under an id that says which one it was."""
    return Binding(
        id=id_,
        role=Role(id_, frozenset(Permission(*text.split(":")) for text in plain["permissions"])),
        project=plain["project"],
        repositories=tuple(pattern_of(text) for text in plain["patterns"]),
        services=plain["services"],
        cidrs=tuple(ip_network(cidr) for cidr in plain["cidrs"]),
        not_before=None if plain["not_before"] is None else moment(plain["not_before"]),
        expires_at=None if plain["expires_at"] is None else moment(plain["expires_at"]),
    )


def limits_of(plain: oracle.Limit) -> list[Limit]:
    """A plain limit, one for each action; of registries only the catalog can be written here, anything else keeps nothing."""
    type_, pattern, actions = plain
    if type_ == "registry" and pattern not in (None, "catalog"):
        return []
    place = None if pattern is None or type_ != "repository" else pattern_of(pattern)
    return [Limit(Permission(type_, action), place) for action in sorted(actions)]


def snapshot_of(world: oracle.World) -> Snapshot:
    """The world's policy; binding number n has the id `n`."""
    kind = PrincipalKind(world["principal"]["kind"])
    limits = world["limits"]
    return Snapshot(
        principal=Principal(kind, "1", "somebody"),
        bindings=tuple(binding_of(plain, str(n)) for n, plain in enumerate(world["bindings"])),
        enabled=world["principal"]["enabled"],
        projects={name: Visibility(visibility) for name, visibility in world["projects"].items()},
        limits=None if limits is None else tuple(limit for plain in limits for limit in limits_of(plain)),
        holds=tuple(Hold(project, pattern_of(text), actions) for project, text, actions in world["held"]),
    )


def circumstances_of(world: oracle.World) -> Circumstances:
    """The world's here and now."""
    return Circumstances(world["service"], ip_address(world["address"]), moment(world["now"]))


def scope_of(ask: oracle.Ask) -> Scope:
    """What is asked, as the scope parser would give it."""
    type_, name, actions = ask
    return Scope(type_, name, tuple(sorted(actions)))


def answer(world: oracle.World, ask: oracle.Ask, snapshot: Snapshot | None = None) -> Grant:
    """The service's answer to one ask, with the world's own snapshot or another."""
    service = Service(name=world["service"], issuer="authsvc")
    (grant,) = decide(
        snapshot or snapshot_of(world),
        [scope_of(ask)],
        service=service,
        circumstances=circumstances_of(world),
    )
    return grant


def granted(world: oracle.World, ask: oracle.Ask) -> frozenset[str]:
    """The actions that the service grants."""
    return frozenset(answer(world, ask).granted)


def with_bindings(snapshot: Snapshot, *bindings: Binding) -> Snapshot:
    """The same, bound by these alone."""
    return replace(snapshot, bindings=bindings)
