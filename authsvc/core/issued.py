"""Grants as the log keeps them: who asked what, what decided each action, and how it ended."""

from collections.abc import Mapping, Sequence

from authsvc.core.canonical import Json
from authsvc.core.decide import Grant, Verdict
from authsvc.core.kind import Outcome
from authsvc.core.service import Service


def describe_grant(grant: Grant, service: Service) -> dict[str, Json]:
    """Return a grant as the log keeps it: each action with the id of the binding, or the visibility, that decided it.

    `as` is the name that the rule was asked about, where the service's names have a prefix that it does not see.
    """
    described: dict[str, Json] = {
        "type": grant.scope.type,
        "name": grant.scope.name,
        "asked": list(grant.scope.actions),
    }
    matched = grant.scope.name.removeprefix(service.name_prefix)
    if matched != grant.scope.name:
        described["as"] = matched
    granted: dict[str, Json] = {v.action: _basis(v) for v in grant.verdicts if v.allowed}
    refused: dict[str, Json] = {v.action: v.reason for v in grant.verdicts if not v.allowed}
    if granted:
        described["granted"] = granted
    if refused:
        described["refused"] = refused
    return described


def _basis(verdict: Verdict) -> str:
    return verdict.reason if verdict.binding is None else verdict.binding.id


def outcome_of(grants: Sequence[Grant]) -> Outcome:
    """Return how the grants of a request, taken together, ended."""
    return _outcome(any(grant.granted for grant in grants), any(grant.refused for grant in grants))


def outcome_of_described(grants: Sequence[Mapping[str, Json]]) -> Outcome:
    """Return how grants ended, together, as the log keeps them."""
    return _outcome(any("granted" in grant for grant in grants), any("refused" in grant for grant in grants))


def _outcome(is_granted: bool, is_refused: bool) -> Outcome:  # noqa: FBT001 - two questions with one answer
    if is_refused:
        return Outcome.PARTIAL if is_granted else Outcome.REFUSED
    return Outcome.ALLOWED
