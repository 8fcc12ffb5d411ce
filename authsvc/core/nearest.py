"""Which of the bindings that do not allow an action comes nearest to it, and what stands in its way."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from authsvc.core.permission import Permission
from authsvc.core.principal import Binding
from authsvc.core.reason import Reason

_NEARNESS = (Reason.SERVICE, Reason.ADDRESS, Reason.NOT_YET, Reason.EXPIRED)
"""Conditions from the ones that another request could meet to the one that nothing but an administrator can lift."""
_NEVER = datetime.max.replace(tzinfo=UTC)
_ALWAYS = datetime.min.replace(tzinfo=UTC)


def nearest_obstacle(
    covering: Sequence[Binding],
    of_project: Iterable[Binding],
    permission: Permission,
    failing_condition: Callable[[Binding], Reason | None],
) -> tuple[Reason, Binding | None]:
    """Return why no binding allows `permission`, and the binding that this is said of, if any.

    `covering` are the bindings about the place, of which none allows; `of_project` those on any part of its project.
    Nearest are bindings that fail by their conditions alone; then those of the project whose role does not allow the action; then
    those whose role does, on another part of the project; then those of the system, whose roles do not.
    """
    failing = [
        (_NEARNESS.index(condition), _remoteness(binding, condition), binding.id, binding)
        for binding in covering
        if binding.role.covers(permission) and (condition := failing_condition(binding)) is not None
    ]
    if failing:
        nearness, _, _, nearest = min(failing, key=lambda each: each[:3])
        return _NEARNESS[nearness], nearest
    here = [binding for binding in covering if failing_condition(binding) is None]
    covered = {binding.id for binding in covering}
    elsewhere = [
        binding
        for binding in of_project
        if binding.id not in covered
        and binding.role.covers(permission)
        and failing_condition(binding) is None
    ]
    for reason, candidates in (
        (Reason.ROLE, [binding for binding in here if binding.project is not None]),
        (Reason.PATTERN, elsewhere),
        (Reason.ROLE, here),
    ):
        if candidates:
            return reason, min(candidates, key=lambda binding: binding.id)
    return Reason.NO_BINDING, None


def _remoteness(binding: Binding, condition: Reason) -> timedelta:
    """Order bindings that fail by the same condition: by how long ago they ended, or how far off they begin."""
    if condition is Reason.EXPIRED and binding.expires_at is not None:
        return _NEVER - binding.expires_at
    if condition is Reason.NOT_YET and binding.not_before is not None:
        return binding.not_before - _ALWAYS
    return timedelta(0)
