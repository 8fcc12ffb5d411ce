import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.core.canonical import Json, decode
from authsvc.core.claims import Access, Claims, access_of, make_claims, payload_of
from authsvc.core.decide import Grant, Verdict
from authsvc.core.event import Requester, TokenIssued, encode_event
from authsvc.core.kind import Kind, Outcome
from authsvc.core.principal import ANONYMOUS
from authsvc.core.reason import Reason
from authsvc.core.scope import Scope
from authsvc.core.service import Service
from tests.core.oracle import Ask, World
from tests.core.plain_worlds import answer
from tests.core.worlds import asks, worlds

NOW = datetime(2026, 11, 23, 16, 27, 18, 999_999, tzinfo=UTC)
SERVICE = Service(name="registry.example", issuer="https://auth.example/", backdate_seconds=10)


def grant(name: str, allowed: str, refused: str = "", type_: str = "repository") -> Grant:
    """A grant of some actions, separated by spaces."""
    verdicts = [
        *(Verdict(action, allowed=True, reason=Reason.PUBLIC) for action in allowed.split()),
        *(Verdict(action, allowed=False, reason=Reason.NO_BINDING) for action in refused.split()),
    ]
    verdicts.sort(key=lambda verdict: verdict.action)
    return Grant(Scope(type_, name, tuple(v.action for v in verdicts)), tuple(verdicts))


def claims_of(*grants: Grant, subject: str = "alice", now: datetime = NOW) -> Claims:
    """The claims of a token for these grants, of five minutes."""
    return make_claims(
        service=SERVICE,
        audience="registry.example",
        subject=subject,
        now=now,
        expires_at=now + timedelta(minutes=5),
        access=access_of(grants),
    )


def as_json(value: object) -> object:
    """The value as whoever reads the token sees it."""
    return json.loads(json.dumps(value))


def entry_of(claims: Claims, grants: list[Grant]) -> dict[str, Json]:
    """The issued token's entry, read back from its bytes."""
    body: dict[str, Json] = {
        "token": claims.entry(),
        "grants": [
            {
                "type": grant.scope.type,
                "name": grant.scope.name,
                "asked": grant.scope.actions,
                "granted": {
                    v.action: v.reason if v.binding is None else v.binding.id
                    for v in grant.verdicts
                    if v.allowed
                },
            }
            for grant in grants
        ],
    }
    event = TokenIssued(
        Kind.TOKEN_ISSUED, NOW, "n", Requester(ANONYMOUS), Outcome.ALLOWED, body, claims=claims
    )
    entry, _ = encode_event(event)
    return decode(entry)


def test_the_payload_has_the_forms_that_registries_read() -> None:
    """`aud` and `sub` are strings, times whole seconds, `access` a list of type, name and a list of actions (A8.109-117)."""
    payload = as_json(claims_of(grant("acme/app", "push pull", "delete")).payload("1.42.n"))
    second = int(NOW.timestamp())
    assert payload == {
        "iss": "https://auth.example/",
        "sub": "alice",
        "aud": "registry.example",
        "exp": second + 300,
        "nbf": second - 10,
        "iat": second - 10,
        "jti": "1.42.n",
        "access": [{"type": "repository", "name": "acme/app", "actions": ["pull", "push"]}],
    }


def test_times_are_integers() -> None:
    """Fractions of a second are cut off, never rounded up, and no float is left (A8.112)."""
    payload = claims_of().payload("j")
    assert [type(payload[name]) for name in ("exp", "nbf", "iat")] == [int, int, int]
    assert payload["exp"] == int(datetime(2026, 11, 23, 16, 32, 18, tzinfo=UTC).timestamp())


def test_the_anonymous_have_an_empty_subject() -> None:
    """`sub` is "" for anonymous, neither absent nor null (A8.111)."""
    assert claims_of(subject=ANONYMOUS.name).payload("j")["sub"] == ""


@pytest.mark.parametrize("grants", [[], [grant("acme/app", "", "pull push")]])
def test_a_token_for_nothing_has_an_empty_list(grants: list[Grant]) -> None:
    """Without a scope, or with nothing granted, `access` is exactly `[]` (A8.116-117)."""
    assert as_json(claims_of(*grants).payload("j")["access"]) == []


def test_refused_scopes_are_left_out_in_order() -> None:
    """Access entries come in the order asked, without those of which nothing was granted (A4.73)."""
    grants = [
        grant("z/app", "pull"),
        grant("m/app", "", "pull"),
        grant("catalog", "*", type_="registry"),
        grant("a/app", "*  delete pull push"),
    ]
    assert access_of(grants) == (
        Access("repository", "z/app", ("pull",)),
        Access("registry", "catalog", ("*",)),
        Access("repository", "a/app", ("*", "delete", "pull", "push")),
    )


@pytest.mark.parametrize("name", ["app", "reg.example.com:5000/acme/app", "[::1]:5000/X", 'a"\\/é'])
def test_names_are_those_asked(name: str) -> None:
    """A name is in the claim exactly as it was asked (A8.119)."""
    assert access_of([grant(name, "pull")])[0].name == name


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(worlds(), asks()), max_size=4),
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.sampled_from(["", "alice", "acme+ci", "山田"]),
)
def test_the_entry_implies_the_payload(
    answered: list[tuple[World, Ask]], now: datetime, subject: str
) -> None:
    """What an auditor computes from the entry's bytes is the payload that was signed, claim by claim."""
    grants = [answer(world, ask) for world, ask in answered]
    claims = claims_of(*grants, subject=subject, now=now)
    assert payload_of(entry_of(claims, grants), "1.2.n") == as_json(claims.payload("1.2.n"))


def test_another_entry_implies_no_payload() -> None:
    """An entry that is not of an issued token raises TypeError."""
    with pytest.raises(TypeError, match="no entry of an issued token"):
        payload_of({"token": "x", "grants": {}}, "j")
