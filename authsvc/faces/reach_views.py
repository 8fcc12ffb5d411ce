"""Who reaches what, as JSON objects and as CSV."""

from collections.abc import Iterable, Mapping, Sequence

from authsvc.core.reach import Reach
from authsvc.core.spreadsheet import encode_row
from authsvc.faces.answers import ReachView, ReviewRowView
from authsvc.faces.views import view_end
from authsvc.operations.review_access import ReviewRow


def view_reach(reach: Reach) -> ReachView:
    """Return one way in which somebody may do something; visibility has no binding and no conditions."""
    binding = reach.binding
    return {
        "kind": reach.kind,
        "name": reach.name,
        "reason": reach.reason,
        "binding": None if binding is None else binding.id,
        "role": None if binding is None else binding.role.name,
        "group": None if binding is None else binding.group,
        "project": None if binding is None else binding.project,
        "repositories": ["**"] if binding is None else [str(pattern) for pattern in binding.repositories],
        "services": [] if binding is None else sorted(binding.services),
        "cidrs": [] if binding is None else [str(network) for network in binding.cidrs],
        "not_before": None if binding is None else view_end(binding.not_before),
        "expires_at": None if binding is None else view_end(binding.expires_at),
    }


def view_review_row(row: ReviewRow) -> ReviewRowView:
    """Return a row of an access review; `searched_since` is how far back no use was found (null: to the log's beginning)."""
    return {
        **view_reach(row.reach),
        "permissions": [str(permission) for permission in row.permissions],
        "state": row.state,
        "last_used": view_end(row.last_use.time),
        "searched_since": view_end(row.last_use.searched_since),
    }


COLUMNS = (
    "kind", "name", "state", "permissions", "repositories", "reason", "role", "group", "project", "binding",
    "services", "cidrs", "not_before", "expires_at", "last_used", "searched_since",
)  # fmt: skip
"""The columns of a review as CSV, in order."""


def write_review(rows: Iterable[ReviewRow]) -> bytes:
    """Return a review as CSV that is safe in a spreadsheet, with a line of names; lists are joined by `; `."""
    return b"".join([encode_row(COLUMNS), *(_line(view_review_row(row)) for row in rows)])


def _line(view: Mapping[str, object]) -> bytes:
    return encode_row([_cell(view[name]) for name in COLUMNS])


def _cell(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)
