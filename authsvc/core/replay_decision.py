"""Replay of decisions: every issued token is decided again, by the rule, under the policy of its moment.

What an entry claims beside its grants follows from policy too, and is held against it: who asked and with what credential, the
claims of the token, the key that signed it, how it ended.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from authsvc.core.canonical import Json
from authsvc.core.decide import RULE_VERSION, Circumstances, Grant, decide, is_within
from authsvc.core.entry_reader import Entry, Shape
from authsvc.core.event import Kind, MalformedEntryError, from_microseconds, microseconds
from authsvc.core.issued import describe_grant, outcome_of
from authsvc.core.limits import parse_limit
from authsvc.core.principal import Limit, Principal, PrincipalKind, Snapshot
from authsvc.core.reason import Reason
from authsvc.core.replay import Policy
from authsvc.core.repository import parse_repository
from authsvc.core.scope import Scope
from authsvc.core.service import MIN_TOKEN_TTL, Service
from authsvc.core.states import State, integer_of, object_of, objects_of, text_of, texts_of, time_of

PATIENCE = timedelta(seconds=5)
"""How long a request may take from the check of its credential to its decision."""

_SECOND = 1_000_000


class NotReplayedError(Exception):
    """An entry says something else than the rule does under the policy of its moment."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What policy says of a request at any time while it stands still; `ends` is when the first thing it rests on lapses."""

    service: Service
    ends: datetime | None
    lasting: bool


@dataclass(slots=True)
class Replay:
    """Makes decisions again, one entry after another, with the policy folded from the entries before."""

    policy: Policy = field(default_factory=Policy)
    _answers: dict[Shape | None, _Answer] = field(default_factory=dict)

    def take(self, seq: int, entry: Entry) -> bool:
        """Check an entry when it is a decision, fold it when it is policy, and say whether it was a decision.

        Raises NotReplayedError.
        """
        try:
            if entry.kind is Kind.TOKEN_ISSUED:
                _check_claims(entry.fields, self._answer(entry))
            else:
                if entry.kind.moves_policy:
                    self._answers.clear()
                self.policy.fold([(seq, entry.fields)])
        except MalformedEntryError as error:
            raise NotReplayedError(str(error)) from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise NotReplayedError("the decision cannot be read") from error
        return entry.kind is Kind.TOKEN_ISSUED

    def _answer(self, entry: Entry) -> _Answer:
        """Decide the entry again, unless the same policy was just found to decide another of its shape as it says."""
        answer = self._answers.get(entry.shape)
        if answer is None or entry.fields["revision"] != self.policy.revision:
            answer = _check_grants(self.policy, entry.fields)
            if answer.lasting and entry.shape is not None:
                self._answers[entry.shape] = answer
        return answer


def decide_again(policy: Policy, entry: Mapping[str, Json]) -> tuple[Grant, ...]:
    """Decide the token of a `token.issued` entry again, by the policy just before it; the answer is to equal its `grants`.

    Raises MalformedEntryError when the entry does not rest on this policy, on a known version of the rule, or cannot be read.
    """
    if entry.get("revision") != policy.revision:
        raise MalformedEntryError(
            f"it was decided under policy revision {entry.get('revision')}, and {policy.revision} was the newest"
        )
    rule = entry.get("rule")
    if rule not in (1, RULE_VERSION):
        raise MalformedEntryError(f"version {rule!r} of the rule is not known")
    try:
        service = policy.service(text_of(entry, "service"))
        scopes = [_scope(grant) for grant in objects_of(entry, "grants")]
        names = [scope.name.removeprefix(service.name_prefix) for scope in scopes]
        snapshot = _snapshot(policy, entry, names)
        address = entry.get("address")
        circumstances = Circumstances(
            service.name,
            None if address is None else ip_address(str(address)),
            from_microseconds(integer_of(entry, "time")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedEntryError("the entry cannot be decided again") from error
    grants = decide(snapshot, scopes, service=service, circumstances=circumstances)
    return grants if rule == RULE_VERSION else _in_older_words(grants, entry)


def _in_older_words(grants: tuple[Grant, ...], entry: Mapping[str, Json]) -> tuple[Grant, ...]:
    """Return grants with the reasons that version 1 gave for refusals: it decided the same, with fewer words for why."""
    older = [
        object_of(grant, "refused") if "refused" in grant else {} for grant in objects_of(entry, "grants")
    ]
    return tuple(
        replace(
            grant,
            verdicts=tuple(
                replace(verdict, reason=Reason(text_of(words, verdict.action)))
                if not verdict.allowed and verdict.action in words
                else verdict
                for verdict in grant.verdicts
            ),
        )
        for grant, words in zip(grants, older, strict=True)
    )


def _check_grants(policy: Policy, entry: Mapping[str, Json]) -> _Answer:
    """Check all of an entry that does not depend on its time alone; raises MalformedEntryError, or what reading it raises."""
    grants = decide_again(policy, entry)
    service = policy.service(text_of(entry, "service"))
    principal = _principal(entry)
    if [describe_grant(grant, service) for grant in grants] != entry["grants"]:
        raise MalformedEntryError("the rule grants something else")
    if outcome_of(grants) != entry["outcome"]:
        raise MalformedEntryError("the outcome is not that of its grants")
    if not policy.is_enabled(principal):
        raise MalformedEntryError("a token for who was not there, or disabled")
    if principal.kind is PrincipalKind.ANONYMOUS and not service.anonymous:
        raise MalformedEntryError("an anonymous token of a service that gives none")
    token, key = object_of(entry, "token"), policy.keys.get(text_of(entry, "key"), {})
    if (token["iss"], token["sub"]) != (service.issuer, principal.name):
        raise MalformedEntryError("the token's claims are not those of its service and subject")
    if token["aud"] not in (service.name, *service.aliases):
        raise MalformedEntryError("the token is for an audience that is not its service's")
    label = service.name if service.own_key else ""
    if (key.get("state"), key.get("algorithm"), key.get("label")) != ("active", service.algorithm, label):
        raise MalformedEntryError("the token was signed with a key that was not in use")
    credential_ends = _check_credential(policy, entry, principal)
    ends = [end for end in (credential_ends, *(grant.expires_at for grant in grants)) if end is not None]
    timeless = not any(bound.not_before or bound.expires_at for bound in policy.bindings_of(principal))
    return _Answer(service, min(ends, default=None), lasting=timeless and credential_ends is None)


def _check_credential(policy: Policy, entry: Mapping[str, Json], principal: Principal) -> datetime | None:
    """Return when the credential of a request ends; raises MalformedEntryError when it was not good there and then."""
    state = _credential(policy, entry)
    if state is None:
        return None
    owner = object_of(state, "owner")
    if (owner["kind"], owner["id"]) != (principal.kind, principal.id):
        raise MalformedEntryError("the credential is somebody else's")
    cidrs, address = texts_of(state, "cidrs"), entry.get("address")
    if cidrs and not is_within(
        None if address is None else ip_address(str(address)), [ip_network(text) for text in cidrs]
    ):
        raise MalformedEntryError("the credential was not good at that address")
    version = state["owner_version"]
    if version is not None and policy.users.get(principal.id, {}).get("credential_version") != version:
        raise MalformedEntryError("the credential had ended with a change of the password")
    ends = time_of(state, "expires_at")
    if ends is not None and from_microseconds(integer_of(entry, "time")) >= ends + PATIENCE:
        raise MalformedEntryError("the credential had expired")
    return ends


def _check_claims(entry: Mapping[str, Json], answer: _Answer) -> None:
    """Check the times of the token; raises MalformedEntryError."""
    time, token, service = integer_of(entry, "time"), object_of(entry, "token"), answer.service
    expires = time + service.token_ttl_seconds * _SECOND
    if answer.ends is not None:
        expires = max(min(expires, microseconds(answer.ends)), time + MIN_TOKEN_TTL * _SECOND)
    if (token["nbf"], token["exp"]) != (time // _SECOND - service.backdate_seconds, expires // _SECOND):
        raise MalformedEntryError("the token's times are not those of its service and of what it rests on")


def _principal(entry: Mapping[str, Json]) -> Principal:
    actor = object_of(entry, "actor")
    return Principal(PrincipalKind(text_of(actor, "kind")), str(actor.get("id", "")), text_of(actor, "name"))


def _snapshot(policy: Policy, entry: Mapping[str, Json], names: Iterable[str]) -> Snapshot:
    principal = _principal(entry)
    repositories = [parse_repository(name) for name in names]
    return Snapshot(
        principal,
        policy.bindings_of(principal),
        enabled=policy.is_enabled(principal),
        projects={r.project: policy.visibility(r.project) for r in repositories if r is not None},
        limits=_limits(policy, entry),
    )


def _credential(policy: Policy, entry: Mapping[str, Json]) -> State | None:
    """Return the machine credential of a request; a password is none."""
    id_ = object_of(entry, "credential").get("id") if "credential" in entry else None
    return None if id_ is None else policy.credentials[str(id_)]


def _limits(policy: Policy, entry: Mapping[str, Json]) -> tuple[Limit, ...] | None:
    """Return what the credential leaves; a password, and no credential at all, leave everything."""
    credential = _credential(policy, entry)
    if credential is None or credential["limits"] is None:
        return None
    return tuple(parse_limit(text) for text in texts_of(credential, "limits"))


def _scope(grant: Mapping[str, Json]) -> Scope:
    return Scope(text_of(grant, "type"), text_of(grant, "name"), texts_of(grant, "asked"))
