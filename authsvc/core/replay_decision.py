"""Replay of decisions: every issued token is decided again, by the rule, under the policy of its moment.

What an entry claims beside its grants follows from policy too, and is held against it: who asked and with what credential, the
claims of the token, the key that signed it, how it ended.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network

from authsvc.core.canonical import Json
from authsvc.core.decide import RULE_VERSION, Circumstances, Grant, decide, is_within
from authsvc.core.entry_reader import MAX_PLACES, MAX_REMEMBERED, Entry
from authsvc.core.entry_template import Shape
from authsvc.core.event import MalformedEntryError, from_microseconds, microseconds
from authsvc.core.issued import describe_grant, outcome_of
from authsvc.core.kind import Kind
from authsvc.core.limits import parse_limit
from authsvc.core.principal import Address, Binding, Limit, PrincipalKind, Snapshot
from authsvc.core.reason import Reason
from authsvc.core.replay import Policy
from authsvc.core.replay_basis import Basis, Question
from authsvc.core.scope import Scope
from authsvc.core.service import MIN_TOKEN_TTL
from authsvc.core.states import State, integer_of, object_of, objects_of, text_of, texts_of, time_of

PATIENCE = timedelta(seconds=5)
"""How long a request may take from the check of its credential to its decision."""

_SECOND = 1_000_000
_ALWAYS = 2**63


class NotReplayedError(Exception):
    """An entry says something else than the rule does under the policy of its moment."""


@dataclass(slots=True)
class _Answer:
    """What was found to be decided on a basis, from `since` until before `until`.

    `touched` is the newest state of policy in which the basis was the same. `ends` is when the first thing that the token rests
    on lapses. All times are in microseconds. It was decided for who asks from `address`, and for everybody where `anywhere`.
    """

    question: Question
    basis: Basis
    touched: int
    ends: int | None
    since: int
    until: int
    address: str | None
    anywhere: bool

    def is_for(self, entry: Entry) -> bool:
        """Say whether an entry of the same shape, on the same basis, is decided so at its time and for its address."""
        return self.since <= entry.time < self.until and (
            self.anywhere or self.address == entry.place.address
        )

    def check_times(self, time: int, not_before: Json, expires: Json) -> None:
        """Check the times of a token that was issued at `time`; raises MalformedEntryError."""
        service = self.basis.service
        ends = time + service.token_ttl_seconds * _SECOND
        if self.ends is not None:
            ends = max(min(ends, self.ends), time + MIN_TOKEN_TTL * _SECOND)
        if not_before != time // _SECOND - service.backdate_seconds or expires != ends // _SECOND:
            raise MalformedEntryError(
                "the token's times are not those of its service and of what it rests on"
            )


@dataclass(slots=True)
class Replay:
    """Makes decisions again, one entry after another, with the policy folded from the entries before."""

    policy: Policy = field(default_factory=Policy)
    _answers: dict[Shape, _Answer] = field(default_factory=dict)
    _remembered: int = 0

    def take(self, seq: int, entry: Entry) -> bool:
        """Check an entry when it is a decision, fold it when it is policy, and say whether it was a decision.

        Raises NotReplayedError.
        """
        shape = entry.shape
        try:
            if shape.kind is not Kind.TOKEN_ISSUED:
                if shape.is_watched:
                    self.policy.fold([(seq, entry.fields)])
                self.policy.seq = seq
                return False
            answer = self._answers.get(shape)
            numbers = entry.numbers
            if numbers is None:
                answer, token = self._decide(entry), object_of(entry.fields, "token")
                answer.check_times(entry.time, token["nbf"], token["exp"])
                return True
            revision, expires, not_before = numbers
            if (
                answer is None
                or answer.touched != self.policy.touched
                or revision != self.policy.revision
                or not answer.is_for(entry)
            ):
                answer = self._decide(entry)
            answer.check_times(entry.time, not_before, expires)
        except MalformedEntryError as error:
            raise NotReplayedError(str(error)) from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise NotReplayedError("the decision cannot be read") from error
        return True

    def _decide(self, entry: Entry) -> _Answer:
        """Decide the entry again, unless what it rests on is what another of its shape was found to rest on."""
        shape, numbers = entry.shape, entry.numbers
        answer = self._answers.get(shape)
        if (
            answer is not None
            and numbers is not None
            and numbers.revision == self.policy.revision
            and answer.is_for(entry)
            and answer.basis == Basis.of(self.policy, answer.question)
        ):
            answer.touched = self.policy.touched
            return answer
        answer = _check_grants(self.policy, entry.fields)
        if numbers is not None:
            if self._remembered >= MAX_REMEMBERED:
                self._answers.clear()
                self._remembered = 0
            self._remembered += 0 if shape in self._answers else shape.size
            self._answers[shape] = answer
        return answer


def decide_again(policy: Policy, entry: Mapping[str, Json]) -> tuple[Grant, ...]:
    """Decide the token of a `token.issued` entry again, by the policy just before it; the answer is to equal its `grants`.

    Raises MalformedEntryError when the entry does not rest on this policy, on a known version of the rule, or cannot be read.
    """
    question, basis = _read(policy, entry)
    return _decide_by(question, basis, entry)


def _read(policy: Policy, entry: Mapping[str, Json]) -> tuple[Question, Basis]:
    if entry.get("revision") != policy.revision:
        raise MalformedEntryError(
            f"it was decided under policy revision {entry.get('revision')}, and {policy.revision} was the newest"
        )
    try:
        question = Question.of(policy, entry)
        return question, Basis.of(policy, question)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedEntryError("the entry cannot be decided again") from error


def _decide_by(question: Question, basis: Basis, entry: Mapping[str, Json]) -> tuple[Grant, ...]:
    rule = entry.get("rule")
    if rule not in (1, RULE_VERSION):
        raise MalformedEntryError(f"version {rule!r} of the rule is not known")
    try:
        snapshot = Snapshot(
            question.principal,
            basis.bindings,
            enabled=basis.enabled,
            projects=dict(zip(question.projects, basis.visibilities, strict=True)),
            limits=_limits(basis.credential),
        )
        scopes = [_scope(grant) for grant in objects_of(entry, "grants")]
        time = from_microseconds(integer_of(entry, "time"))
        circumstances = Circumstances(question.service, _address(entry), time)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedEntryError("the entry cannot be decided again") from error
    grants = decide(snapshot, scopes, service=basis.service, circumstances=circumstances)
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
    """Check all of an entry but its token's times; raises MalformedEntryError, or what reading it raises."""
    question, basis = _read(policy, entry)
    grants, service, principal = _decide_by(question, basis, entry), basis.service, question.principal
    if [describe_grant(grant, service) for grant in grants] != entry["grants"]:
        raise MalformedEntryError("the rule grants something else")
    if outcome_of(grants) != entry["outcome"]:
        raise MalformedEntryError("the outcome is not that of its grants")
    if not basis.enabled:
        raise MalformedEntryError("a token for who was not there, or disabled")
    if principal.kind is PrincipalKind.ANONYMOUS and not service.anonymous:
        raise MalformedEntryError("an anonymous token of a service that gives none")
    token, key = object_of(entry, "token"), basis.key
    if (token["iss"], token["sub"]) != (service.issuer, principal.name):
        raise MalformedEntryError("the token's claims are not those of its service and subject")
    if token["aud"] not in (service.name, *service.aliases):
        raise MalformedEntryError("the token is for an audience that is not its service's")
    label = service.name if service.own_key else ""
    if (key.get("state"), key.get("algorithm"), key.get("label")) != ("active", service.algorithm, label):
        raise MalformedEntryError("the token was signed with a key that was not in use")
    credential_ends = _check_credential(question, basis, entry)
    ends = [end for end in (credential_ends, *(grant.expires_at for grant in grants)) if end is not None]
    since, until = _lasts(basis.bindings, credential_ends, integer_of(entry, "time"))
    return _Answer(
        question,
        basis,
        policy.touched,
        microseconds(min(ends)) if ends else None,
        since,
        until,
        None if "address" not in entry else text_of(entry, "address"),
        not basis.looks_at_addresses,
    )


def _lasts(bindings: Iterable[Binding], credential_ends: datetime | None, time: int) -> tuple[int, int]:
    """Return from when until before when the same is decided as at `time`: between two moments at which a condition changes."""
    turns = [turn for bound in bindings for turn in (bound.not_before, bound.expires_at) if turn is not None]
    if credential_ends is not None:
        turns.append(credential_ends + PATIENCE)
    moments = [microseconds(turn) for turn in turns]
    return (
        max((moment for moment in moments if moment <= time), default=0),
        min((moment for moment in moments if moment > time), default=_ALWAYS),
    )


def _check_credential(question: Question, basis: Basis, entry: Mapping[str, Json]) -> datetime | None:
    """Return when the credential of a request ends; raises MalformedEntryError when it was not good there and then."""
    state, principal = basis.credential, question.principal
    if state is None:
        return None
    owner = object_of(state, "owner")
    if (owner["kind"], owner["id"]) != (principal.kind, principal.id):
        raise MalformedEntryError("the credential is somebody else's")
    cidrs = texts_of(state, "cidrs")
    if cidrs and not is_within(_address(entry), [ip_network(text) for text in cidrs]):
        raise MalformedEntryError("the credential was not good at that address")
    version = state["owner_version"]
    if version is not None and basis.credential_version != version:
        raise MalformedEntryError("the credential had ended with a change of the password")
    ends = time_of(state, "expires_at")
    if ends is not None and from_microseconds(integer_of(entry, "time")) >= ends + PATIENCE:
        raise MalformedEntryError("the credential had expired")
    return ends


def _address(entry: Mapping[str, Json]) -> Address | None:
    address = entry.get("address")
    return None if address is None else _parse_address(str(address))


_parse_address = lru_cache(maxsize=MAX_PLACES)(ip_address)


def _limits(credential: State | None) -> tuple[Limit, ...] | None:
    """Return what the credential leaves; a password, and no credential at all, leave everything."""
    if credential is None or credential["limits"] is None:
        return None
    return tuple(parse_limit(text) for text in texts_of(credential, "limits"))


def _scope(grant: Mapping[str, Json]) -> Scope:
    return Scope(text_of(grant, "type"), text_of(grant, "name"), texts_of(grant, "asked"))
