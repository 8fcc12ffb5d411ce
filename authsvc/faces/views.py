"""Administrative answers, the API's and the command line's: records as JSON objects, times in RFC 3339 with `Z`."""

from datetime import UTC, datetime

from authsvc.core.decide import Grant
from authsvc.core.last_use import LastUse
from authsvc.core.records import (
    BindingRecord,
    CredentialRecord,
    ExpiringRecord,
    GroupRecord,
    ProjectRecord,
    RobotRecord,
    RoleRecord,
    ServiceRecord,
    UserRecord,
)
from authsvc.faces.answers import (
    BindingView,
    ExpiringView,
    ExplainedView,
    GroupView,
    LastUseView,
    MemberView,
    ProjectView,
    RobotView,
    RoleView,
    SecretView,
    ServiceView,
    SessionView,
    TokenView,
    UserView,
)


def view_time(time: datetime) -> str:
    """Return a time as text."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def view_end(time: datetime | None) -> str | None:
    """Return a time that there may not be."""
    return None if time is None else view_time(time)


def view_last_use(use: LastUse | None) -> LastUseView:
    """Return when and from where something was last used, both null when it never was."""
    if use is None:
        return {"last_used_at": None, "last_used_address": None}
    return {"last_used_at": view_time(use.at), "last_used_address": use.address}


def view_user(user: UserRecord) -> UserView:
    """Return a user; a password or its hash is in no answer."""
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "display_name": user.display_name,
        "disabled": user.disabled,
        "created_at": view_time(user.created_at),
        **view_last_use(user.last_use),
    }


def view_group(group: GroupRecord) -> GroupView:
    """Return a group."""
    return {"id": group.id, "name": group.name, "created_at": view_time(group.created_at)}


def view_member(name: str) -> MemberView:
    """Return a group's member."""
    return {"name": name}


def view_role(role: RoleRecord) -> RoleView:
    """Return a role."""
    return {
        "name": role.name,
        "permissions": [str(permission) for permission in role.permissions],
        "description": role.description,
        "built_in": role.built_in,
        "created_at": view_time(role.created_at),
    }


def view_explained(scope: str, grant: Grant) -> ExplainedView:
    """Return the answer to one scope with the reason of each action."""
    return {
        "scope": scope,
        "granted": list(grant.granted),
        "refused": [action for action in grant.refused if action],
        "reasons": [
            {
                "action": verdict.action,
                "allowed": verdict.allowed,
                "reason": verdict.reason,
                "binding": None if verdict.binding is None else verdict.binding.id,
                "role": None if verdict.binding is None else verdict.binding.role.name,
                "group": None if verdict.binding is None else verdict.binding.group,
            }
            for verdict in grant.verdicts
        ],
    }


def view_project(project: ProjectRecord) -> ProjectView:
    """Return a project."""
    return {
        "id": project.id,
        "name": project.name,
        "visibility": project.visibility,
        "description": project.description,
        "created_at": view_time(project.created_at),
    }


def view_binding(binding: BindingRecord) -> BindingView:
    """Return a binding."""
    return {
        "id": binding.id,
        "role": binding.role,
        "subject": {"kind": binding.subject.kind, "name": binding.subject.name},
        "project": binding.project,
        "repositories": [str(pattern) for pattern in binding.repositories],
        "services": list(binding.services),
        "cidrs": [str(network) for network in binding.cidrs],
        "not_before": view_end(binding.not_before),
        "expires_at": view_end(binding.expires_at),
        "comment": binding.comment,
        "created_at": view_time(binding.created_at),
    }


def view_robot(robot: RobotRecord) -> RobotView:
    """Return a robot; `subject` is the name it signs in with."""
    return {
        "id": robot.id,
        "name": robot.name,
        "subject": robot.subject,
        "project": robot.project,
        "description": robot.description,
        "disabled": robot.disabled,
        "created_at": view_time(robot.created_at),
        **view_last_use(robot.last_use),
    }


def view_secret(secret: CredentialRecord) -> SecretView:
    """Return the public parts of a robot's secret."""
    return {
        "id": secret.id,
        "label": secret.label,
        "expires_at": view_end(secret.expires_at),
        "created_at": view_time(secret.created_at),
        **view_last_use(secret.last_use),
    }


def view_token(token: CredentialRecord) -> TokenView:
    """Return the public parts of a personal access token."""
    return {
        **view_secret(token),
        "scopes": [str(limit) for limit in token.limits or ()],
        "cidrs": [str(network) for network in token.cidrs],
    }


def view_session(token: CredentialRecord) -> SessionView:
    """Return the public parts of a refresh token."""
    return {
        "id": token.id,
        "service": token.service,
        "client": token.client,
        "created_at": view_time(token.created_at),
        "expires_at": view_end(token.expires_at),
        **view_last_use(token.last_use),
    }


def view_expiring(record: ExpiringRecord) -> ExpiringView:
    """Return something that ends soon; a binding has a role and was never used itself, a credential has a label."""
    return {
        "kind": record.kind,
        "id": record.id,
        "subject": {"kind": record.subject.kind, "name": record.subject.name},
        "project": record.project,
        "role": record.role,
        "label": record.label,
        "expires_at": view_time(record.expires_at),
        **view_last_use(record.last_use),
    }


def view_service(record: ServiceRecord) -> ServiceView:
    """Return a service."""
    service = record.service
    return {
        "name": service.name,
        "issuer": service.issuer,
        "algorithm": service.algorithm,
        "header": service.header,
        "token_ttl_seconds": service.token_ttl_seconds,
        "backdate_seconds": service.backdate_seconds,
        "refresh_tokens": service.refresh_tokens,
        "anonymous": service.anonymous,
        "own_key": service.own_key,
        "isolated": service.isolated,
        "aliases": sorted(service.aliases),
        "name_prefix": service.name_prefix,
        "created_at": view_time(record.created_at),
    }
