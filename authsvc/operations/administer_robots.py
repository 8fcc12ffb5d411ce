"""Robots and their secrets: create, read, list, change, delete; two secrets of a robot may live at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from authsvc.adapters.postgres.credentials import (
    delete_credential,
    find_credential_record,
    insert_credential,
    list_credential_records,
)
from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.projects import (
    delete_robot,
    find_project_record,
    find_robot_record,
    insert_robot,
    list_robot_records,
    update_robot,
)
from authsvc.core.credential import CredentialKind, MachineSecret, compose_secret
from authsvc.core.errors import ConflictError, Fault, ForbiddenError, InvalidInputError
from authsvc.core.names import describe_bad_plain_name
from authsvc.core.principal import Principal, PrincipalKind
from authsvc.core.records import CredentialRecord, RobotRecord
from authsvc.operations.act import Actor, Authority, read_authority
from authsvc.operations.administer_users import demand_rights_of
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of

SLOTS = (1, 2)


@dataclass(frozen=True, slots=True)
class NewRobot:
    """A robot to create."""

    name: str
    description: str = ""
    disabled: bool = False


async def create_robot(deps: Deps, actor: Actor, project: str | None, new: NewRobot) -> RobotRecord:
    """Create a robot of a project, or of the system (None)."""
    if fault := describe_bad_plain_name(new.name):
        raise InvalidInputError(Fault("/name", fault))
    async with deps.database.change(actor.by) as change:
        _demand(await read_authority(deps, change, actor), "write", project)
        if project is not None:
            found(await find_project_record(change, project), "project")
        record = RobotRecord(deps.new_id(), project, new.name, change.time, new.description, new.disabled)
        await insert_robot(change, record)
    return record


async def get_robot(deps: Deps, actor: Actor, project: str | None, name: str) -> RobotRecord:
    """Return a robot."""
    async with deps.database.read() as read:
        robot = await _allowed_robot(deps, read, actor, "read", project, name)
        return await deps.last_uses.of(read, robot)


async def list_robots(deps: Deps, actor: Actor, project: str | None, asked: Asked) -> Page[RobotRecord]:
    """Return the robots of a project, or of the system, by name."""
    async with deps.database.read() as read:
        _demand(await read_authority(deps, read, actor), "read", project)
        if project is not None:
            found(await find_project_record(read, project), "project")
        page = await page_of(
            asked,
            lambda after, limit: list_robot_records(
                read, project, after=after, limit=limit, where=asked.where
            ),
            lambda robot: robot.name,
        )
        return await deps.last_uses.of_page(read, page)


async def change_robot(
    deps: Deps,
    actor: Actor,
    project: str | None,
    name: str,
    fields: Mapping[str, str | bool],
    expected: Versions,
) -> RobotRecord:
    """Change `description` or `disabled`; enabling hands out whatever the robot may do."""
    async with deps.database.change(actor.by) as change:
        robot = await _allowed_robot(deps, change, actor, "write", project, name)
        check_version(robot.version, expected)
        if robot.disabled and fields.get("disabled") is False:
            await demand_rights_of(change, await read_authority(deps, change, actor), _principal(robot))
        if fields:
            robot = replace(robot, **fields, version=robot.version + 1)  # type: ignore[arg-type]  # the face has checked each field's type
            await update_robot(change, robot)
        return await deps.last_uses.of(change, robot)


async def delete_robot_named(
    deps: Deps, actor: Actor, project: str | None, name: str, expected: Versions
) -> None:
    """Delete a robot with its secrets and bindings."""
    async with deps.database.change(actor.by) as change:
        record = await _allowed_robot(deps, change, actor, "write", project, name)
        check_version(record.version, expected)
        await delete_robot(change, record)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A robot secret to create; `expires_at` None lives until it is deleted."""

    label: str = ""
    expires_at: datetime | None = None


async def create_robot_secret(
    deps: Deps, actor: Actor, project: str | None, name: str, new: NewSecret
) -> tuple[CredentialRecord, MachineSecret]:
    """Create a secret and return it with its text, this once; it hands out whatever the robot may do.

    Secrets rotate by machine, with a personal access token. A secret has neither limits nor addresses, so a credential that has
    any makes none, whatever is bound to the robot now: more may be bound later. Raises ConflictError when two live already; an
    expired one makes room.
    """
    async with deps.database.change(actor.by) as change:
        if new.expires_at is not None and new.expires_at <= change.time:
            raise InvalidInputError(Fault("/expires_at", "must be in the future"))
        robot = await _allowed_robot(deps, change, actor, "write", project, name)
        owner = _principal(robot)
        actor.demand_not_narrowed()
        _demand_not_prolonged(actor, owner, new)
        authority = await read_authority(deps, change, actor)
        await demand_rights_of(change, authority, owner, until=new.expires_at)
        slot = await _free_slot(change, owner)
        secret = compose_secret(CredentialKind.ROBOT, deps.new_id(), deps.new_secret())
        record = CredentialRecord(
            id=secret.id,
            kind=CredentialKind.ROBOT,
            owner=owner,
            created_at=change.time,
            digest=deps.digest.digest(secret.text, purpose="credential"),
            label=new.label,
            slot=slot,
            expires_at=new.expires_at,
        )
        await insert_credential(change, record)
    return record, secret


async def list_robot_secrets(
    deps: Deps, actor: Actor, project: str | None, name: str, asked: Asked
) -> Page[CredentialRecord]:
    """Return the public parts of a robot's secrets."""
    async with deps.database.read() as read:
        owner = _principal(await _allowed_robot(deps, read, actor, "read", project, name))
        page = await page_of(
            asked,
            lambda after, limit: list_credential_records(
                read, owner, CredentialKind.ROBOT, after=after, limit=limit, where=asked.where
            ),
            lambda record: record.id,
        )
        return await deps.last_uses.of_page(read, page)


async def get_robot_secret(
    deps: Deps, actor: Actor, project: str | None, name: str, id_: str
) -> CredentialRecord:
    """Return the public parts of one secret."""
    async with deps.database.read() as read:
        owner = _principal(await _allowed_robot(deps, read, actor, "read", project, name))
        record = found(await find_credential_record(read, owner, id_, CredentialKind.ROBOT), "secret")
        return await deps.last_uses.of(read, record)


async def delete_robot_secret(
    deps: Deps, actor: Actor, project: str | None, name: str, id_: str, expected: Versions
) -> None:
    """Revoke a secret, and the refresh tokens obtained with it."""
    async with deps.database.change(actor.by) as change:
        owner = _principal(await _allowed_robot(deps, change, actor, "write", project, name))
        record = found(await find_credential_record(change, owner, id_, CredentialKind.ROBOT), "secret")
        check_version(record.version, expected)
        await delete_credential(change, record)


def _demand(authority: Authority, action: str, project: str | None) -> None:
    """Demand the permission for robots: the project's, or, for robots of the system, that for users."""
    authority.demand(f"user:{action}" if project is None else f"project:{action}", project)


async def _allowed_robot(
    deps: Deps, read: Read, actor: Actor, action: str, project: str | None, name: str
) -> RobotRecord:
    _demand(await read_authority(deps, read, actor), action, project)
    return found(await find_robot_record(read, project, name), "robot")


def _demand_not_prolonged(actor: Actor, owner: Principal, new: NewSecret) -> None:
    """Raise ForbiddenError where a robot's secret would make one of the same robot's that ends later: nothing prolongs itself."""
    own = actor.who.credential
    if own is None or own.owner != owner or own.expires_at is None:
        return
    if new.expires_at is None or new.expires_at > own.expires_at:
        raise ForbiddenError(
            "the secret would outlive the one it is made with: give an earlier expires_at, or have the project's owner make it"
        )


def _principal(robot: RobotRecord) -> Principal:
    return Principal(PrincipalKind.ROBOT, robot.id, robot.subject)


async def _free_slot(change: Change, owner: Principal) -> int:
    secrets = await list_credential_records(change, owner, CredentialKind.ROBOT, after="", limit=len(SLOTS))
    for record in secrets:
        if record.expires_at is not None and record.expires_at <= change.time:
            await delete_credential(change, record)
    live = {s.slot for s in secrets if s.expires_at is None or s.expires_at > change.time}
    free = [slot for slot in SLOTS if slot not in live]
    if not free:
        raise ConflictError("two secrets live already: delete one first")
    return free[0]
