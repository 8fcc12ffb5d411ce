"""Routes that prove the log: checkpoints, proofs, and the tree as C2SP tlog-tiles names its parts, below `/audit`."""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from authsvc.core.errors import NotFoundError
from authsvc.core.tiles import TILE_WIDTH, TilePlace, parse_place
from authsvc.faces.admin.audit import MAX_SEQ, SeqPath
from authsvc.faces.admin.exchange import ActorDep, DepsDep, answer_one
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import ConsistencyView
from authsvc.operations.prove_audit import (
    prove_consistency,
    prove_event,
    read_bundle,
    read_checkpoint,
    read_tile,
)

router = APIRouter(tags=["audit"], route_class=StrictRoute)

_FRESH = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_FOR_EVER = {**_FRESH, "cache-control": "private, max-age=31536000, immutable"}
_BYTES = "application/octet-stream"
_OCTETS: dict[int | str, dict[str, Any]] = {200: {"content": {_BYTES: {}}}}

_Size = Annotated[int, Query(ge=0, le=MAX_SEQ, examples=[1])]
_Number = Annotated[str, Path(description="Which tile, as C2SP tlog-tiles writes it.", examples=["000.p/1"])]
_Level = Annotated[str, Path(description="The level, 0 over the leaves.", examples=["0"])]


@router.get("/audit/checkpoint", response_class=PlainTextResponse, name="read_checkpoint")
async def checkpoint(deps: DepsDep, actor: ActorDep) -> PlainTextResponse:
    """Read the newest checkpoint: a C2SP signed note over the log's size and root. Keep one elsewhere."""
    return PlainTextResponse(await read_checkpoint(deps, actor), headers=_FRESH)


@router.get("/audit/consistency", response_model=ConsistencyView, name="prove_consistency")
async def consistency(
    deps: DepsDep, actor: ActorDep, old: _Size, new: Annotated[int | None, Query(ge=0, le=MAX_SEQ)] = None
) -> JSONResponse:
    """Prove that the log only grew from `old` entries to `new`, or to the newest checkpoint (RFC 6962, 2.1.2)."""
    proof = await prove_consistency(deps, actor, old, new)
    hashes = [base64.b64encode(hash_).decode() for hash_ in proof.hashes]
    return answer_one(
        {"old": proof.old_size, "new": proof.new_size, "hashes": hashes, "checkpoint": proof.checkpoint}
    )


@router.get("/audit/{seq}/proof", response_class=PlainTextResponse, name="prove_event")
async def proof(deps: DepsDep, actor: ActorDep, seq: SeqPath) -> PlainTextResponse:
    """Prove that an event is in the log: a C2SP tlog-proof, to verify offline and to keep."""
    return PlainTextResponse((await prove_event(deps, actor, seq)).to_text(), headers=_FRESH)


@router.get(
    "/audit/tile/entries/{number:path}", name="read_entries", response_class=Response, responses=_OCTETS
)
async def entries(deps: DepsDep, actor: ActorDep, number: _Number) -> Response:
    """Read a bundle of entries, each after its length in two bytes (C2SP tlog-tiles)."""
    place = _place("0", number)
    return _part(place, await read_bundle(deps, actor, place))


@router.get("/audit/tile/{level}/{number:path}", name="read_tile", response_class=Response, responses=_OCTETS)
async def tile(deps: DepsDep, actor: ActorDep, level: _Level, number: _Number) -> Response:
    """Read a tile of the tree's hashes, as `0/x001/067` or `0/x001/067.p/7` (C2SP tlog-tiles)."""
    place = _place(level, number)
    return _part(place, await read_tile(deps, actor, place))


def _place(level: str, number: str) -> TilePlace:
    place = parse_place(level, number)
    if place is None:
        raise NotFoundError("no tile has such a path")
    return place


def _part(place: TilePlace, content: bytes) -> Response:
    return Response(content, media_type=_BYTES, headers=_FOR_EVER if place.width == TILE_WIDTH else _FRESH)
