"""The rule as an executable model: plain data, no cleverness, no code shared with the service.

    granted(scope) = asked ∩ (bound ∪ visible) ∩ limits − held

Written from the rule's text alone. Where the service and this model differ, one of them is wrong, and the text decides.
"""

import ipaddress
import re
from typing import TypedDict


class Principal(TypedDict):
    kind: str  # "user", "robot" or "anonymous"
    enabled: bool


class Binding(TypedDict):
    """A binding of the principal, its own or through a group."""

    project: str | None  # None: the whole system
    patterns: list[str]  # relative to the project; of no meaning for the whole system
    permissions: frozenset[str]  # "type:action"
    services: frozenset[str]  # empty: any
    cidrs: list[str]  # empty: any
    not_before: int | None
    expires_at: int | None


Limit = tuple[str, str | None, frozenset[str]]
"""Type, pattern over the full name (None: any name), actions ("*": each, and the literal one)."""

Hold = tuple[str, str, frozenset[str]]
"""Project, pattern relative to it, actions (none: all)."""

Ask = tuple[str, str, frozenset[str]]
"""The one scope asked: type, name, actions."""


class World(TypedDict):
    principal: Principal
    bindings: list[Binding]
    projects: dict[str, str]  # name to "private", "internal" or "public"
    limits: list[Limit] | None
    held: list[Hold]
    now: int
    address: str
    service: str


NOTHING: frozenset[str] = frozenset()


def granted(world: World, ask: Ask) -> frozenset[str]:
    """Answer the actions granted for one scope."""
    scope_type, name, asked = ask
    if not world["principal"]["enabled"]:
        return NOTHING
    if scope_type == "registry":
        return granted_on_registry(world, name, asked)
    if scope_type == "repository":
        return granted_on_repository(world, name, asked)
    return NOTHING


def granted_on_registry(world: World, name: str, asked: frozenset[str]) -> frozenset[str]:
    """Grant `registry:catalog:*` and nothing else, to who may see the catalog of the whole system."""
    if name != "catalog" or "*" not in asked:
        return NOTHING
    bound = False
    for binding in world["bindings"]:
        if (
            binding["project"] is None
            and conditions_hold(world, binding)
            and permits(binding, "registry", "catalog")
        ):
            bound = True
    if not bound:
        return NOTHING
    if world["limits"] is None:
        return frozenset({"*"})
    for limit_type, pattern, actions in world["limits"]:
        if (
            limit_type == "registry"
            and pattern in (None, "catalog")
            and ("catalog" in actions or "*" in actions)
        ):
            return frozenset({"*"})
    return NOTHING


def granted_on_repository(world: World, name: str, asked: frozenset[str]) -> frozenset[str]:
    """Grant actions on one repository; `*` also asks for every concrete action there is."""
    if not is_repository_name(name):
        return NOTHING
    project, relative = place_of(name)
    if project not in world["projects"]:
        return NOTHING

    bindings = [b for b in world["bindings"] if conditions_hold(world, b) and covers(b, project, relative)]
    answer = set()
    for action in concrete_and_literal(asked, bindings):
        bound = any(permits(binding, "repository", action) for binding in bindings)
        visible = action == "pull" and is_visible(world, project)
        limited = is_within_limits(world, f"{project}/{relative}", action)
        if (bound or visible) and limited and not is_held(world, project, relative, action):
            answer.add(action)
    return frozenset(answer)


def concrete_and_literal(asked: frozenset[str], bindings: list[Binding]) -> set[str]:
    """What is asked, spelled out: `*` is itself, the three usual actions, and every action the bindings name."""
    if "*" not in asked:
        return set(asked)
    actions = {"*", "pull", "push", "delete"} | set(asked)
    for binding in bindings:
        for permission in binding["permissions"]:
            permission_type, action = permission.split(":")
            if permission_type == "repository":
                actions.add(action)
    return actions


def is_repository_name(name: str) -> bool:
    """Whether a registry of CNCF Distribution would take the name: components joined by `/`, 255 characters."""
    component = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
    return len(name) <= 255 and all(re.fullmatch(component, part) is not None for part in name.split("/"))


def place_of(name: str) -> tuple[str, str]:
    """The project a repository is in, and its name relative to the project."""
    if "/" not in name:
        return "library", name
    project, relative = name.split("/", 1)
    return project, relative


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a name, component by component."""
    return components_match(pattern.split("/"), name.split("/"))


def components_match(patterns: list[str], names: list[str]) -> bool:
    """`*` stands for exactly one component, `**` for one or more, anything else for itself."""
    if not patterns:
        return not names
    if not names:
        return False
    if patterns[0] == "**":
        return any(components_match(patterns[1:], names[taken:]) for taken in range(1, len(names) + 1))
    return patterns[0] in ("*", names[0]) and components_match(patterns[1:], names[1:])


def covers(binding: Binding, project: str, relative: str) -> bool:
    """Whether a binding is about this repository."""
    if binding["project"] is None:
        return True
    return binding["project"] == project and any(
        matches(pattern, relative) for pattern in binding["patterns"]
    )


def conditions_hold(world: World, binding: Binding) -> bool:
    """Whether a binding counts now, here, for this service."""
    if binding["services"] and world["service"] not in binding["services"]:
        return False
    if binding["not_before"] is not None and world["now"] < binding["not_before"]:
        return False
    if binding["expires_at"] is not None and world["now"] >= binding["expires_at"]:
        return False
    address = ipaddress.ip_address(world["address"])
    return not binding["cidrs"] or any(address in ipaddress.ip_network(cidr) for cidr in binding["cidrs"])


def permits(binding: Binding, permission_type: str, action: str) -> bool:
    """Whether the permissions of a binding contain this one; the action `*` is in nothing but `type:*` and `*:*`."""
    permissions = binding["permissions"]
    return (
        f"{permission_type}:{action}" in permissions
        or f"{permission_type}:*" in permissions
        or "*:*" in permissions
    )


def is_visible(world: World, project: str) -> bool:
    """Whether the project's visibility lets the principal pull."""
    visibility = world["projects"][project]
    return visibility == "public" or (visibility == "internal" and world["principal"]["kind"] != "anonymous")


def is_within_limits(world: World, full_name: str, action: str) -> bool:
    """Whether the credential keeps the action; without limits it keeps all, with an empty list of them none."""
    if world["limits"] is None:
        return True
    for limit_type, pattern, actions in world["limits"]:
        if (
            limit_type == "repository"
            and (pattern is None or matches(pattern, full_name))
            and (action in actions or "*" in actions)
        ):
            return True
    return False


def is_held(world: World, project: str, relative: str, action: str) -> bool:
    """Whether a hold stops the action; any hold at all stops the literal `*`."""
    for hold_project, pattern, actions in world["held"]:
        if (
            hold_project == project
            and matches(pattern, relative)
            and (not actions or action in actions or action == "*")
        ):
            return True
    return False
