"""Limits as text: `repository:acme/**:pull` (a scope with a pattern) or `project:write` (a permission)."""

from authsvc.core.permission import REPOSITORY_ACTIONS, Permission, ResourceType, parse_permission
from authsvc.core.principal import Limit
from authsvc.core.repository import parse_pattern


def parse_limits(text: str) -> tuple[Limit, ...] | None:
    """Return the limits that `text` writes, one for each of its actions, or None when it writes none."""
    permission = parse_permission(text)
    if permission is not None:
        # Without a pattern, another action is a pattern whose actions were forgotten: `repository:acme`.
        known = permission.type != ResourceType.REPOSITORY or permission.action in {*REPOSITORY_ACTIONS, "*"}
        return (Limit(permission),) if known else None
    type_, _, rest = text.partition(":")
    path, _, actions = rest.rpartition(":")
    if type_ == ResourceType.REGISTRY and path == "catalog" and actions == "*":
        return (Limit(Permission(ResourceType.REGISTRY, "catalog")),)
    pattern = parse_pattern(path)
    parsed = [parse_permission(f"repository:{action}") for action in actions.split(",")]
    if type_ != ResourceType.REPOSITORY or pattern is None or None in parsed:
        return None
    return tuple(Limit(permission, pattern) for permission in parsed if permission is not None)


def parse_limit(text: str) -> Limit:
    """Return the one limit that a stored text writes; raises ValueError, as nothing else is ever stored."""
    limits = parse_limits(text)
    if limits is None or len(limits) != 1:
        raise ValueError("a stored limit cannot be read")
    return limits[0]
