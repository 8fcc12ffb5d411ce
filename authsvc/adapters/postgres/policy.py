"""Reading policy on the hot path: one hand-written statement a question, each with the policy revision of its own snapshot.

A single statement sees one snapshot, so the revision it returns is the one its rows were read at.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from authsvc.adapters.postgres.known import Known
from authsvc.adapters.postgres.log import Connection
from authsvc.core.credential import Credential, CredentialKind
from authsvc.core.event import Thing
from authsvc.core.limits import parse_limit
from authsvc.core.permission import read_role
from authsvc.core.principal import Binding, Principal, PrincipalKind, Visibility
from authsvc.core.repository import EVERYTHING, Pattern, parse_pattern
from authsvc.core.service import Algorithm, HeaderProfile, Service

_REVISION = "coalesce((SELECT revision FROM batches ORDER BY prev DESC LIMIT 1), -1)"

_CREDENTIAL = f"""
SELECT {_REVISION}, c.kind, c.digest, c.limits, c.cidrs::text[], c.expires_at, c.owner_version, c.service, c.parent_id,
       u.id, u.name, r.id, r.subject
FROM (SELECT 1) AS one
LEFT JOIN credentials c ON c.id = %s
LEFT JOIN users u ON u.id = c.user_id
LEFT JOIN robots r ON r.id = c.robot_id
"""  # noqa: S608 - formatted from the constant above

_USER = f"""
SELECT {_REVISION}, u.id, u.name, u.password_hash, u.credential_version
FROM (SELECT 1) AS one LEFT JOIN users u ON u.name_key = %s
"""  # noqa: S608 - formatted from the constant above

BINDINGS = """
(SELECT coalesce(json_agg(json_build_array(
    b.id, b.role, r.permissions, p.name, b.repositories, g.id, g.name, b.services, b.cidrs, b.not_before, b.expires_at
 )), '[]') FROM ({whose}) AS b JOIN roles r ON r.name = b.role LEFT JOIN projects p ON p.id = b.project_id
 LEFT JOIN groups g ON g.id = b.group_id)
"""
# Not one condition with OR: no index serves that, and every sign-in would read all bindings there are.
_OF_USER = """
SELECT * FROM bindings WHERE user_id = u.id
UNION ALL SELECT x.* FROM group_members m JOIN bindings x USING (group_id) WHERE m.user_id = u.id
"""

_USER_POLICY = f"""
SELECT {_REVISION}, NOT u.disabled, u.credential_version,
       (SELECT coalesce(array_agg(group_id), '{{}}') FROM group_members WHERE user_id = u.id),
       {BINDINGS.format(whose=_OF_USER)}
FROM (SELECT 1) AS one LEFT JOIN users u ON u.id = %s
"""  # noqa: S608 - formatted from the constants above

_ROBOT_POLICY = f"""
SELECT {_REVISION}, NOT o.disabled, 0, '{{}}'::text[], {BINDINGS.format(whose="SELECT * FROM bindings WHERE robot_id = o.id")}
FROM (SELECT 1) AS one LEFT JOIN robots o ON o.id = %s
"""  # noqa: S608 - formatted from the constants above

_GROUP_BINDINGS = f"""
SELECT {BINDINGS.format(whose="SELECT * FROM bindings WHERE group_id = %s")}
"""  # noqa: S608 - formatted from the constant above

_PROJECT = f"SELECT {_REVISION}, (SELECT visibility FROM projects WHERE name = %s)"  # noqa: S608 - as above

_SERVICE_COLUMNS = """s.name, s.issuer, s.algorithm, s.header, s.token_ttl_seconds, s.backdate_seconds, s.refresh_tokens,
       s.anonymous, s.own_key, s.isolated, s.name_prefix,
       (SELECT coalesce(array_agg(a.name ORDER BY a.name), '{}') FROM service_names a
        WHERE a.service = s.name AND a.name <> s.name)"""

_SERVICE = f"""
SELECT {_REVISION}, {_SERVICE_COLUMNS}
FROM (SELECT 1) AS one LEFT JOIN service_names n ON n.name = %s LEFT JOIN services s ON s.name = n.service
"""  # noqa: S608 - formatted from the constants above

_ONLY_SERVICE = f"""
SELECT {_REVISION}, {_SERVICE_COLUMNS}
FROM (SELECT min(name) AS name FROM services HAVING count(*) = 1) AS sole JOIN services s USING (name)
RIGHT JOIN (SELECT 1) AS one ON true
"""  # noqa: S608 - formatted from the constants above

_ACTIVE_KEY = f"""
SELECT {_REVISION}, (SELECT id FROM signing_keys WHERE algorithm = %s AND label = %s AND state = 'active')
"""  # noqa: S608 - formatted from the constant above

_POLICY_ENTRIES = """
SELECT seq, entry FROM log WHERE seq > %s AND seq <= %s
AND (kind LIKE 'policy.%%' OR kind LIKE 'key.%%' OR kind IN ('credential.changed', 'credential.revoked')) ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class User:
    """What signing in with a password needs of a user."""

    principal: Principal
    password_hash: str | None = field(repr=False)
    credential_version: int


@dataclass(frozen=True, slots=True)
class PrincipalPolicy:
    """What is bound to a principal, now or under conditions; `exists` false when the principal is gone."""

    exists: bool
    enabled: bool
    credential_version: int
    bindings: tuple[Binding, ...]


NOBODY = PrincipalPolicy(exists=True, enabled=True, credential_version=0, bindings=())


async def find_credential(connection: Connection, id_: str) -> Known[Credential | None]:
    """Return a machine credential by its public id."""
    row = await _one(connection, _CREDENTIAL, id_)
    (
        revision,
        kind,
        digest,
        limits,
        cidrs,
        expires_at,
        owner_version,
        service,
        parent,
        user_id,
        user,
        robot_id,
        robot,
    ) = row
    if kind is None:
        return Known(None, revision)
    owner = (
        Principal(PrincipalKind.USER, user_id, user)
        if user_id is not None
        else Principal(PrincipalKind.ROBOT, robot_id, robot)
    )
    credential = Credential(
        id=id_,
        kind=CredentialKind(kind),
        owner=owner,
        digest=bytes(digest),
        limits=None if limits is None else tuple(parse_limit(text) for text in limits),
        cidrs=tuple(ip_network(text) for text in cidrs),
        expires_at=expires_at,
        owner_version=owner_version,
        service=service,
    )
    depends = {Thing("credential", id_), *_things_of(owner)}
    if parent is not None:
        depends.add(Thing("credential", parent))
    if service is not None:  # its refresh tokens go with it
        depends.add(Thing("service", service))
    return Known(credential, revision, frozenset(depends))


async def find_user(connection: Connection, name_key: str) -> Known[User | None]:
    """Return a user by the key of the name."""
    revision, id_, name, password_hash, version = await _one(connection, _USER, name_key)
    if id_ is None:
        # Remembered, so that an account that does not exist takes no longer than one that does.
        return Known(None, revision, frozenset({Thing("name", name_key)}))
    user = User(Principal(PrincipalKind.USER, id_, name), password_hash, version)
    return Known(user, revision, frozenset({Thing("user", id_)}))


async def find_principal_policy(connection: Connection, principal: Principal) -> Known[PrincipalPolicy]:
    """Return everything bound to a user (directly or through groups) or to a robot, conditions not yet applied."""
    statement = _USER_POLICY if principal.kind is PrincipalKind.USER else _ROBOT_POLICY
    revision, enabled, version, groups, rows = await _one(connection, statement, principal.id)
    depends = _things_of(principal)
    if enabled is None:
        gone = PrincipalPolicy(exists=False, enabled=False, credential_version=0, bindings=())
        return Known(gone, revision, frozenset(depends))
    bindings = tuple(read_binding(row) for row in rows)
    depends.update(Thing("group", group) for group in groups)
    depends.update(Thing("role", binding.role.name) for binding in bindings)
    # By name: a project that is deleted and made anew must not find the old one's bindings remembered.
    depends.update(Thing("project", binding.project) for binding in bindings if binding.project is not None)
    policy = PrincipalPolicy(exists=True, enabled=enabled, credential_version=version, bindings=bindings)
    return Known(policy, revision, frozenset(depends))


async def find_robot_principal(connection: Connection, subject: str) -> Principal | None:
    """Return a robot by its full name."""
    cursor = await connection.execute("SELECT id, subject FROM robots WHERE subject = %s", [subject])
    row = await cursor.fetchone()
    return None if row is None else Principal(PrincipalKind.ROBOT, row[0], row[1])


async def find_group_bindings(connection: Connection, group_id: str) -> tuple[Binding, ...]:
    """Return everything bound to a group, conditions not yet applied."""
    (rows,) = await _one(connection, _GROUP_BINDINGS, group_id)
    return tuple(read_binding(row) for row in rows)


async def find_visibility(connection: Connection, project: str) -> Known[Visibility | None]:
    """Return a project's visibility, or None when there is no such project, which is worth knowing too."""
    revision, visibility = await _one(connection, _PROJECT, project)
    value = None if visibility is None else Visibility(visibility)
    return Known(value, revision, frozenset({Thing("project", project)}))


async def find_service(connection: Connection, name: str) -> Known[Service | None]:
    """Return the service of an audience: its name or one of its aliases."""
    return _service(await _one(connection, _SERVICE, name), Thing("service", name))


async def find_only_service(connection: Connection) -> Known[Service | None]:
    """Return the one service there is, or None when there are none or several."""
    return _service(await _one(connection, _ONLY_SERVICE), Thing("service", "*"))


async def find_active_key(connection: Connection, algorithm: Algorithm, label: str) -> Known[str | None]:
    """Return the id of the key that signs now for services of this algorithm and label (empty: the shared key)."""
    revision, id_ = await _one(connection, _ACTIVE_KEY, algorithm, label)
    return Known(id_, revision, frozenset({Thing("key", f"{algorithm}/{label}")}))


async def read_revision(connection: Connection) -> int:
    """Return the policy revision as it is now."""
    row = await _one(connection, f"SELECT {_REVISION}")
    return int(row[0])


async def list_changed_things(connection: Connection, *, after: int, until: int) -> frozenset[Thing]:
    """Return every thing that the policy events in (after, until] name."""
    cursor = await connection.execute(_POLICY_ENTRIES, [after, until], prepare=True)
    things: set[Thing] = set()
    async for _, entry in cursor:
        things.update(Thing(noun, name) for noun, name in json.loads(bytes(entry)).get("things", ()))
    return frozenset(things)


async def _one(connection: Connection, statement: str, *parameters: str) -> Any:
    row = await (await connection.execute(statement, parameters, prepare=True)).fetchone()
    if row is None:
        raise RuntimeError("a statement that returns one row returned none")
    return row


def _things_of(principal: Principal) -> set[Thing]:
    """Return what a principal's existence hangs on: itself and, for a robot, its project."""
    things = {Thing(principal.kind, principal.id)}
    if principal.kind is PrincipalKind.ROBOT:
        things.add(Thing("project", principal.name.partition("+")[0]))
    return things


def _service(row: Any, thing: Thing) -> Known[Service | None]:
    (
        revision,
        name,
        issuer,
        algorithm,
        header,
        ttl,
        backdate,
        refresh,
        anonymous,
        own_key,
        isolated,
        prefix,
        aliases,
    ) = row
    if name is None:
        # Not to be remembered: it would be refused without asking the journal whether that is still so.
        return Known(None, revision)
    service = Service(
        name=name,
        issuer=issuer,
        algorithm=Algorithm(algorithm),
        header=HeaderProfile(header),
        token_ttl_seconds=ttl,
        backdate_seconds=backdate,
        refresh_tokens=refresh,
        anonymous=anonymous,
        own_key=own_key,
        isolated=isolated,
        aliases=tuple(aliases),
        name_prefix=prefix,
    )
    return Known(service, revision, frozenset({thing, Thing("service", name)}))


def read_binding(row: list[Any]) -> Binding:
    """Return one of the bindings that `BINDINGS` selects."""
    id_, role, permissions, project, repositories, _, group, services, cidrs, not_before, expires_at = row
    return Binding(
        id=id_,
        role=read_role(role, tuple(permissions)),
        project=project,
        repositories=tuple(_pattern(text) for text in repositories),
        group=group,
        services=frozenset(services),
        cidrs=tuple(ip_network(text) for text in cidrs),
        not_before=_time(not_before),
        expires_at=_time(expires_at),
    )


def _pattern(text: str) -> Pattern:
    return (parse_pattern(text) or Pattern(())) if text != "**" else EVERYTHING


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
