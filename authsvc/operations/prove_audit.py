"""Proving the log to who does not trust us: signed checkpoints, proofs, and the tree itself as C2SP tlog-tiles serves it."""

from dataclasses import dataclass

from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.tiles import read_entries
from authsvc.core.errors import Fault, InvalidInputError, NotFoundError
from authsvc.core.mark import Mark
from authsvc.core.merkle import leaf_hashes
from authsvc.core.note import Checkpoint, verifier_key
from authsvc.core.proof import HashOf, consistency_proof, verify_consistency
from authsvc.core.tiled_tree import TILE_LEVELS, Prefix, frontier_of
from authsvc.core.tiles import TILE_WIDTH, TilePlace, encode_bundle
from authsvc.core.tlog_proof import TlogProof
from authsvc.operations.act import Actor
from authsvc.operations.deps import Deps
from authsvc.operations.page import found
from authsvc.operations.query_audit import demand_to_read_all, record_question
from authsvc.operations.read_tree import contradiction, find_head, from_tree, prove_entry


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
        return (await _head(deps, await read.driver())).note


async def read_verifier_key(deps: Deps, actor: Actor) -> str:
    """Return the key that checkpoints are verified with, as C2SP signed notes write it: the public half of KEYS_DIR's."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        head = await _head(deps, await read.driver())
    return verifier_key(head.checkpoint.origin, deps.keys.keys.audit.public_bytes)


async def prove_event(deps: Deps, actor: Actor, seq: int) -> TlogProof:
    """Return the proof that an event is in the log, under the newest checkpoint; of what was pruned too.

    Raises NotFoundError when the log has no such event, and UnavailableError when it contradicts its own checkpoint.
    """
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        head = await _head(deps, driver)
        if seq >= head.checkpoint.size:
            raise NotFoundError("there is no such event")
        _, proof = await prove_entry(driver, head, seq)
    return proof


async def prove_consistency(deps: Deps, actor: Actor, old_size: int, new_size: int | None) -> Consistency:
    """Return the proof that the log only grew between two sizes; `new_size` None is the newest checkpoint's."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        mark = await _head(deps, driver)
        head = mark.checkpoint
        size = head.size if new_size is None else new_size
        if size > head.size:
            raise InvalidInputError(Fault("new", f"the log has {head.size} entries"))
        if old_size > size:
            raise InvalidInputError(Fault("old", "must not be larger than the new size"))

        def prove(hash_of: HashOf) -> tuple[Prefix, Prefix, tuple[bytes, ...]]:
            old, new = Prefix.of(old_size, head, hash_of), Prefix.of(size, head, hash_of)
            return old, new, consistency_proof(old_size, size, hash_of)

        def check(proved: tuple[Prefix, Prefix, tuple[bytes, ...]]) -> None:
            old, new, proof = proved
            old.check(head)
            new.check(head)
            verify_consistency(
                old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, proof=proof
            )

        _, _, hashes = await from_tree(driver, head, prove, check)
    return Consistency(old_size, size, hashes, mark.note)


async def read_tile(deps: Deps, actor: Actor, place: TilePlace) -> bytes:
    """Return the hashes of a tile, whole or partial; raises NotFoundError when the log is not so large."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        head = await _head_beyond(deps, driver, place)
        level, start = TILE_LEVELS * place.level, place.index * TILE_WIDTH

        def read_hashes(hash_of: HashOf) -> tuple[list[bytes], Prefix]:
            hashes = [hash_of(level, start + at) for at in range(place.width)]
            tree = frontier_of(start, hash_of, level=level).append(hashes)
            return hashes, Prefix.of(tree.size << level, head, hash_of, root=tree.root)

        hashes, _ = await from_tree(driver, head, read_hashes, lambda read: read[1].check(head))
    return b"".join(hashes)


async def read_bundle(deps: Deps, actor: Actor, place: TilePlace) -> bytes:
    """Return the entries of a tile of the lowest level, once that is logged; raises NotFoundError when they were pruned.

    Raises UnavailableError for entries that are not those of the signed tree.
    """
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        driver = await read.driver()
        head = await _head_beyond(deps, driver, place)
        start = place.index * TILE_WIDTH
        await record_question(deps, actor, {"seq": start, "entries": place.width})
        read_now = await read_entries(driver, start, start + place.width)
        entries = found(read_now if len(read_now) >= place.width else None, "bundle, or no longer")

        def lead(hash_of: HashOf) -> Prefix:
            tree = frontier_of(start, hash_of).append(leaf_hashes(entries))
            return Prefix.of(tree.size, head, hash_of, root=tree.root)

        if len(entries) != place.width:
            raise contradiction()
        await from_tree(driver, head, lead, lambda prefix: prefix.check(head))
    return encode_bundle(entries)


async def _head(deps: Deps, driver: Connection) -> Mark:
    return found(await find_head(deps, driver), "checkpoint yet")


async def _head_beyond(deps: Deps, driver: Connection, place: TilePlace) -> Checkpoint:
    """Return the newest checkpoint; raises NotFoundError when its log does not fill the tile."""
    head = (await _head(deps, driver)).checkpoint
    if (place.index * TILE_WIDTH + place.width) << (TILE_LEVELS * place.level) > head.size:
        raise NotFoundError("the log is not so large")
    return head
