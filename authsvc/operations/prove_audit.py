"""Proving the log to who does not trust us: signed checkpoints, proofs, and the tree itself as C2SP tlog-tiles serves it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.tiles import (
    count_tiled,
    find_checkpoint,
    read_entries,
    read_leaves,
    read_spans,
)
from authsvc.core.errors import Fault, InvalidInputError, NotFoundError, UnavailableError
from authsvc.core.merkle import FrontierError
from authsvc.core.note import Checkpoint, parse_note, verifier_key
from authsvc.core.proof import HashOf, ProofError, consistency_proof, inclusion_proof
from authsvc.core.tiled_tree import TILE_LEVELS, TiledTree, nodes_of, stored_under
from authsvc.core.tiles import TILE_WIDTH, TileError, TilePlace, encode_bundle
from authsvc.core.tlog_proof import TlogProof
from authsvc.operations.act import Actor
from authsvc.operations.deps import Deps
from authsvc.operations.page import found
from authsvc.operations.query_audit import demand_to_read_all, record_question

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the tree of `new_size` leaves begins with that of `old_size`; `checkpoint` is the newest."""

    old_size: int
    new_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


async def read_checkpoint(deps: Deps, actor: Actor) -> str:
    """Return the newest checkpoint, a signed note."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        return (await _head(await read.driver()))[0]


async def read_verifier_key(deps: Deps, actor: Actor) -> str:
    """Return the key that checkpoints are verified with, as C2SP signed notes write it: the public half of KEYS_DIR's."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        _, head = await _head(await read.driver())
    return verifier_key(head.origin, deps.keys.keys.audit.public_bytes)


async def prove_event(deps: Deps, actor: Actor, seq: int) -> TlogProof:
    """Return the proof that an event is in the log, under the newest checkpoint; of what was pruned too.

    Raises NotFoundError when the log has no such event, and UnavailableError when it contradicts its own checkpoint.
    """
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        note, head = await _head(driver)
        if seq >= head.size:
            raise NotFoundError("there is no such event")

        def prove(hash_of: HashOf) -> tuple[bytes, tuple[bytes, ...]]:
            return hash_of(0, seq), inclusion_proof(seq, head.size, hash_of)

        leaf, path = await _from_tree(driver, head.size, prove)
    proof = TlogProof(seq, path, note)
    try:
        proof.verify(leaf, head)
    except ProofError as error:
        raise _contradiction() from error
    return proof


async def prove_consistency(deps: Deps, actor: Actor, old_size: int, new_size: int | None) -> Consistency:
    """Return the proof that the log only grew between two sizes; `new_size` None is the newest checkpoint's."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        note, head = await _head(driver)
        size = head.size if new_size is None else new_size
        if size > head.size:
            raise InvalidInputError(Fault("new", f"the log has {head.size} entries"))
        if old_size > size:
            raise InvalidInputError(Fault("old", "must not be larger than the new size"))
        hashes = await _from_tree(
            driver, head.size, lambda hash_of: consistency_proof(old_size, size, hash_of)
        )
    return Consistency(old_size, size, hashes, note)


async def read_tile(deps: Deps, actor: Actor, place: TilePlace) -> bytes:
    """Return the hashes of a tile, whole or partial; raises NotFoundError when the log is not so large."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        size = await _size_for(driver, place)

        def hashes(hash_of: HashOf) -> list[bytes]:
            start = place.index * TILE_WIDTH
            return [hash_of(TILE_LEVELS * place.level, start + at) for at in range(place.width)]

        return b"".join(await _from_tree(driver, size, hashes))


async def read_bundle(deps: Deps, actor: Actor, place: TilePlace) -> bytes:
    """Return the entries of a tile of the lowest level, once that is logged; raises NotFoundError when they were pruned."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        await _size_for(driver, place)
        start = place.index * TILE_WIDTH
        await record_question(deps, actor, {"seq": start, "entries": place.width})
        entries = await read_entries(driver, start, start + place.width)
    return encode_bundle(found(entries if len(entries) == place.width else None, "bundle, or no longer"))


async def _head(driver: Connection) -> tuple[str, Checkpoint]:
    note = found(await find_checkpoint(driver), "checkpoint yet")
    return note, Checkpoint.parse(parse_note(note).text)


async def _size_for(driver: Connection, place: TilePlace) -> int:
    """Return the log's size; raises NotFoundError when it does not fill the tile."""
    _, head = await _head(driver)
    if (place.index * TILE_WIDTH + place.width) << (TILE_LEVELS * place.level) > head.size:
        raise NotFoundError("the log is not so large")
    return head.size


async def _from_tree(driver: Connection, size: int, compute: Callable[[HashOf], _T]) -> _T:
    """Return what is computed of the tree's hashes, having read only those that it asks for."""
    nodes = nodes_of(compute)
    tiled = await count_tiled(driver)
    stored = await read_spans(driver, list(stored_under(nodes, tiled)))
    is_in_tiles = all((index + 1) << level <= tiled for level, index in nodes)
    newest: Sequence[bytes] = () if is_in_tiles else await read_leaves(driver, tiled, size)
    try:
        return compute(TiledTree(tiled, stored, newest).hash_of)
    except (TileError, FrontierError) as error:
        raise _contradiction() from error


def _contradiction() -> UnavailableError:
    return UnavailableError("the log contradicts its own checkpoint: run 'authsvc audit verify'")
