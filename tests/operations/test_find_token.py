"""From a token to its event and its proof; what was changed about a token is found, and nothing of it is kept."""

import base64
import json
from datetime import timedelta

import pytest

from authsvc.core.claims import payload_of
from authsvc.core.errors import InvalidInputError, NotFoundError
from authsvc.core.merkle import leaf_hash
from authsvc.core.note import Checkpoint, parse_note
from authsvc.core.service import Algorithm
from authsvc.faces.cli.console import at_console
from authsvc.operations.deps import Deps
from authsvc.operations.find_token import Signature, find_token
from tests.clock import Clock
from tests.world import World, claims_of


async def issued(world: World) -> str:
    """Return a token for dora."""
    await world.add_user("dora")
    await world.add_project("acme")
    await world.bind("developer", "user", "dora", "acme")
    return str((await world.ask_as("dora", "repository:acme/app:pull,push")).json()["token"])


def with_claims(token: str, **claims: object) -> str:
    """Return a token that says something else, under the signature it has."""
    header, _, signature = token.split(".")
    payload = json.dumps(claims_of(token) | claims).encode()
    return f"{header}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{signature}"


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_a_token_leads_to_its_event_and_proof(
    world: World, deps: Deps, clock: Clock, algorithm: Algorithm
) -> None:
    """A genuine token, ended long ago, of any algorithm: its event, a good signature, its claims as logged, and a proof."""
    await world.api("PATCH", "/services/registry.test", {"algorithm": algorithm}, expect=200)
    await world.api("POST", "/keys/rotate", {"algorithm": algorithm}, expect=201)
    token = await issued(world)
    clock.advance(timedelta(days=20))
    told = await find_token(deps, at_console(), token)
    assert (told.signature, told.is_as_logged, told.is_genuine) == (Signature.GOOD, True, True)
    event = told.found.event
    assert payload_of(event.fields, str(event.jti)) == claims_of(token)
    checkpoint = Checkpoint.parse(parse_note(told.found.proof.checkpoint).text)
    told.found.proof.verify(leaf_hash(event.row.entry), checkpoint)
    assert token not in json.dumps([entry for _, entry in await world.events()])


async def test_a_changed_token_is_found_out(world: World, deps: Deps) -> None:
    """More actions than were granted, or another subject, is neither as logged nor signed; so is a good payload badly signed."""
    token = await issued(world)
    for changed in (with_claims(token, sub="root"), with_claims(token, access=[]), token[:-8] + "AAAAAAAA"):
        told = await find_token(deps, at_console(), changed)
        assert told.signature is Signature.BAD
        assert not told.is_genuine
    assert not (await find_token(deps, at_console(), with_claims(token, sub="root"))).is_as_logged


async def test_what_is_no_token_of_ours_is_told_without_it(world: World, deps: Deps) -> None:
    """Noise, a token with no id or with an id of nothing is an error whose text holds nothing of it."""
    token = await issued(world)
    for wrong in ("", "secret", "a.b.c", with_claims(token, jti=None), with_claims(token, jti="secret")):
        with pytest.raises(InvalidInputError) as told:
            await find_token(deps, at_console(), wrong)
        assert "secret" not in str(told.value)
    for unknown in ("1.99999.abcdefgh", claims_of(token)["jti"] + "x"):
        with pytest.raises(NotFoundError):
            await find_token(deps, at_console(), with_claims(token, jti=unknown))
