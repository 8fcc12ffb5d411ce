"""The kinds of events, and how what they tell of ended: closed vocabularies of the log."""

from enum import StrEnum


class Kind(StrEnum):
    """What happened (DESIGN 10, "Event kinds")."""

    TOKEN_ISSUED = "token.issued"  # noqa: S105 - the name of a kind
    TOKEN_REFUSED = "token.refused"  # noqa: S105 - the name of a kind
    AUTH_THROTTLED = "auth.throttled"
    USER_CREATED = "policy.user.created"
    USER_CHANGED = "policy.user.changed"
    USER_DELETED = "policy.user.deleted"
    GROUP_CREATED = "policy.group.created"
    GROUP_CHANGED = "policy.group.changed"
    GROUP_DELETED = "policy.group.deleted"
    MEMBERSHIP_CREATED = "policy.membership.created"
    MEMBERSHIP_DELETED = "policy.membership.deleted"
    PROJECT_CREATED = "policy.project.created"
    PROJECT_CHANGED = "policy.project.changed"
    PROJECT_DELETED = "policy.project.deleted"
    ROBOT_CREATED = "policy.robot.created"
    ROBOT_CHANGED = "policy.robot.changed"
    ROBOT_DELETED = "policy.robot.deleted"
    ROLE_CREATED = "policy.role.created"
    ROLE_CHANGED = "policy.role.changed"
    ROLE_DELETED = "policy.role.deleted"
    BINDING_CREATED = "policy.binding.created"
    BINDING_CHANGED = "policy.binding.changed"
    BINDING_DELETED = "policy.binding.deleted"
    SERVICE_CREATED = "policy.service.created"
    SERVICE_CHANGED = "policy.service.changed"
    SERVICE_DELETED = "policy.service.deleted"
    CREDENTIAL_CREATED = "credential.created"
    CREDENTIAL_CHANGED = "credential.changed"
    CREDENTIAL_REVOKED = "credential.revoked"
    KEY_CREATED = "key.created"
    KEY_CHANGED = "key.changed"
    KEY_RETIRED = "key.retired"
    REGISTRY_PULL = "registry.pull"
    REGISTRY_PUSH = "registry.push"
    REGISTRY_MOUNT = "registry.mount"
    REGISTRY_DELETE = "registry.delete"
    AUDIT_QUERIED = "audit.queried"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_PRUNED = "audit.pruned"
    AUDIT_RECOVERED = "audit.recovered"
    SERVICE_STARTED = "service.started"
    SERVICE_STOPPED = "service.stopped"

    @property
    def moves_policy(self) -> bool:
        """Say whether an event of this kind is a new policy revision (DESIGN 7); creating a credential is none."""
        return self in _MOVING_POLICY

    @property
    def is_of_policy(self) -> bool:
        """Say whether an event of this kind holds the new state of something that decisions rest on."""
        return self in _OF_POLICY


_OF_POLICY = frozenset(kind for kind in Kind if kind.startswith(("policy.", "credential.", "key.")))
_MOVING_POLICY = _OF_POLICY - {Kind.CREDENTIAL_CREATED}


class Outcome(StrEnum):
    """How it ended."""

    ALLOWED = "allowed"
    PARTIAL = "partial"
    REFUSED = "refused"
    DONE = "done"
