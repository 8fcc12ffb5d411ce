"""Causes as problem details (RFC 9457): the admin API's one table."""

from collections.abc import Sequence
from dataclasses import dataclass

from authsvc.core.errors import (
    AuthsvcError,
    ConflictError,
    Fault,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnknownServiceError,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:authsvc:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem: its status, its stable type and its title."""

    status: int
    type: str
    title: str


PROBLEMS: dict[type[AuthsvcError], Problem] = {
    InvalidInputError: Problem(422, "invalid", "The request is not valid"),
    UnknownServiceError: Problem(400, "unknown-service", "There is no such service"),
    UnauthenticatedError: Problem(401, "unauthenticated", "Sign in"),
    ForbiddenError: Problem(403, "forbidden", "You may not do this"),
    NotFoundError: Problem(404, "not-found", "There is no such thing"),
    ConflictError: Problem(409, "conflict", "It contradicts what is stored"),
    StaleVersionError: Problem(412, "stale", "It has changed meanwhile"),
    ThrottledError: Problem(429, "throttled", "Too many requests"),
    UnavailableError: Problem(503, "unavailable", "The service cannot decide now"),
}
INTERNAL = Problem(500, "internal", "Something went wrong here")
BY_STATUS = {
    400: Problem(400, "malformed", "The request cannot be read"),
    404: Problem(404, "not-found", "There is no such thing"),
    405: Problem(405, "method", "This method is not offered here"),
    413: Problem(413, "too-large", "The request is too large"),
    415: Problem(415, "media-type", "Send JSON"),
    422: Problem(422, "invalid", "The request is not valid"),
}


def problem_of(error: AuthsvcError) -> Problem:
    """Return the problem that an error is, by the nearest of its classes."""
    for cause in type(error).__mro__:
        if cause in PROBLEMS:
            return PROBLEMS[cause]
    return INTERNAL


def describe(problem: Problem, detail: str, faults: Sequence[Fault] = ()) -> dict[str, object]:
    """Return the problem's JSON; `errors` point at members of the request (RFC 6901)."""
    body: dict[str, object] = {
        "type": TYPE_PREFIX + problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
    }
    if faults:
        body["errors"] = [{"pointer": fault.where, "detail": fault.what} for fault in faults]
    return body
