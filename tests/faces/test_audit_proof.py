"""Checkpoints, proofs and tiles over the API: an auditor proves offline what it was shown, with nothing but a key it trusts."""

import asyncio
import base64
from hashlib import sha256

import httpx
import psycopg
import pytest

from authsvc.adapters.keys.audit_key import verify
from authsvc.config import Settings
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind, Outcome
from authsvc.core.merkle import EMPTY, leaf_hash
from authsvc.core.note import Checkpoint, VerifierKey, parse_note, verify_note
from authsvc.core.principal import ANONYMOUS
from authsvc.core.proof import verify_consistency
from authsvc.core.tiles import TilePlace, decode_bundle, split_tile, subtree_root
from authsvc.core.tlog_proof import TlogProof
from authsvc.operations.deps import Deps
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.repair_tiles import find_false_tile, repair_tiles
from authsvc.operations.run_background import fill_tiles
from authsvc.wiring import audit_public_key
from tests.world import ADMIN, ADMIN_PASSWORD, World, password_of

AUDIT = "/api/v1/audit"


async def get(world: World, path: str, *, expect: int = 200) -> httpx.Response:
    """Read below /audit as the administrator."""
    response = await world.client.get(AUDIT + path, auth=(ADMIN, ADMIN_PASSWORD))
    assert response.status_code == expect, response.text
    return response


async def grow(deps: Deps, count: int) -> None:
    """Write some events."""
    by = Requester(ANONYMOUS)
    await asyncio.gather(
        *(
            deps.journal.record(
                Event(Kind.AUTH_THROTTLED, deps.now(), deps.new_nonce(), by, Outcome.REFUSED), revision=None
            )
            for _ in range(count)
        )
    )


def trusted(note: str, settings: Settings) -> Checkpoint:
    """Return a checkpoint, once its signature is verified with the key of the test's folder."""
    origin = Checkpoint.parse(parse_note(note).text).origin
    key = VerifierKey(origin, audit_public_key(settings))
    return Checkpoint.parse(verify_note(note, [key], verify).text)


@pytest.mark.parametrize("tiled", [False, True])
async def test_an_event_is_proved_offline(world: World, deps: Deps, settings: Settings, tiled: bool) -> None:
    """The text of an event and its proof are enough, whether its tile is stored or not, at every place in the log."""
    await grow(deps, 600)
    if tiled:
        await fill_tiles(deps)
    for seq in (0, 1, 255, 256, 511, 512, 600):
        entry = (await get(world, f"/{seq}")).json()["entry"].encode()
        proof = TlogProof.parse((await get(world, f"/{seq}/proof")).text)
        assert proof.index == seq
        proof.verify(leaf_hash(entry), trusted(proof.checkpoint, settings))
    await get(world, "/999999/proof", expect=404)


async def test_the_log_is_proved_to_have_only_grown(world: World, deps: Deps, settings: Settings) -> None:
    """Between any two checkpoints that an auditor kept there is a proof that the newer one continues the older."""
    kept = [trusted((await get(world, "/checkpoint")).text, settings)]
    for count in (1, 300, 7):
        await grow(deps, count)
        kept.append(trusted((await get(world, "/checkpoint")).text, settings))
        await fill_tiles(deps)
    for old in kept:
        for new in kept[kept.index(old) :]:
            proof = (await get(world, f"/consistency?old={old.size}&new={new.size}")).json()
            verify_consistency(
                old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root,
                proof=[base64.b64decode(hash_) for hash_ in proof["hashes"]],
            )  # fmt: skip
    await get(world, "/consistency?old=5&new=4", expect=422)
    await get(world, "/consistency?old=5&new=99999", expect=422)


@pytest.mark.parametrize("tiled", [False, True])
async def test_the_tree_is_served_as_tiles(world: World, deps: Deps, settings: Settings, tiled: bool) -> None:
    """Tiles, partial tiles and bundles of entries give the root of the checkpoint, and each other."""
    await grow(deps, 600)
    if tiled:
        await fill_tiles(deps)
    head = trusted((await get(world, "/checkpoint")).text, settings)
    leaves: list[bytes] = []
    for place in (TilePlace(0, 0), TilePlace(0, 1), TilePlace(0, 2, head.size - 512)):
        tile = split_tile((await get(world, f"/{place.path}")).content, place.width)
        bundle = decode_bundle((await get(world, f"/{place.bundle_path}")).content, place.width)
        assert tile == tuple(map(leaf_hash, bundle))
        leaves += tile
    assert EMPTY.append(leaves).root == head.root
    (above,) = {(await get(world, "/tile/1/000.p/2")).content}
    assert above == subtree_root(leaves[:256]) + subtree_root(leaves[256:512])
    for absent in (
        "/tile/0/003",
        "/tile/0/2",
        "/tile/1/000",
        "/tile/9/000",
        "/tile/entries/x001/000",
        "/tile/0/../0",
    ):
        await get(world, absent, expect=404)


async def test_reading_entries_is_logged_and_hashes_are_not_shown_to_everybody(
    world: World, deps: Deps
) -> None:
    """A bundle is a question like any other; nothing below /audit answers who may not read the log."""
    await grow(deps, 300)
    before = len(await world.events(kind=Kind.AUDIT_QUERIED))
    await get(world, "/tile/entries/000")
    await get(world, "/tile/0/000")
    (asked,) = (await world.events(kind=Kind.AUDIT_QUERIED))[before:]
    assert asked[1]["filter"] == {"seq": 0, "entries": 256}
    await world.add_user("stranger")
    for path in ("/checkpoint", "/0", "/0/proof", "/consistency?old=1", "/tile/0/000", "/tile/entries/000"):
        for auth, status in ((("stranger", password_of("stranger")), 403), (None, 401)):
            response = await world.client.get(AUDIT + path, auth=auth or httpx.USE_CLIENT_DEFAULT)
            assert response.status_code == status, path


def lie(superuser_url: str, statement: str, *values: object) -> None:
    """Change what the guards protect, as a database administrator can."""
    with psycopg.connect(superuser_url) as connection:
        tables = ["tiles", "batches"]
        tables += [
            name
            for (name,) in connection.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log'::regclass"
            )
        ]
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only".encode())
        connection.execute(statement.encode(), values)
        for table in tables:
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only".encode())


REST = "kind, outcome, actor, projects, repositories, actions, address, entry"
FALSE_TILES = (
    "UPDATE tiles SET hashes = set_byte(hashes, 40, 255 - get_byte(hashes, 40)) WHERE index = 1",
    "UPDATE tiles SET root = set_byte(root, 4, 255 - get_byte(root, 4)) WHERE index = 1",
    "DELETE FROM tiles WHERE index = 0",
    "INSERT INTO tiles SELECT 0, 1000000, root, hashes FROM tiles WHERE index = 1",
    "INSERT INTO tiles SELECT 0, 2, root, hashes FROM tiles WHERE index = 1",
)


@pytest.mark.parametrize("change", FALSE_TILES)
async def test_whatever_tiles_say_what_is_given_is_the_tree(
    world: World, deps: Deps, settings: Settings, superuser_url: str, change: str
) -> None:
    """Proofs, consistency and tiles are those of the signed tree though stored tiles are false, until these are repaired."""
    await grow(deps, 600)
    await fill_tiles(deps)
    lie(superuser_url, change)
    head = trusted((await get(world, "/checkpoint")).text, settings)
    leaves: list[bytes] = []
    for place in (TilePlace(0, 0), TilePlace(0, 1), TilePlace(0, 2, head.size - 512)):
        leaves += split_tile((await get(world, f"/{place.path}")).content, place.width)
    assert EMPTY.append(leaves).root == head.root
    assert (await get(world, "/tile/1/000.p/2")).content == b"".join(
        subtree_root(leaves[at : at + 256]) for at in (0, 256)
    )
    for seq in (0, 257, 300, 560):
        proof = TlogProof.parse((await get(world, f"/{seq}/proof")).text)
        proof.verify(leaves[seq], trusted(proof.checkpoint, settings))
    for old, new in ((1, 300), (257, 513), (512, head.size)):
        shown = (await get(world, f"/consistency?old={old}&new={new}")).json()
        verify_consistency(
            old_size=old, old_root=EMPTY.append(leaves[:old]).root, new_size=new, new_root=EMPTY.append(leaves[:new]).root,
            proof=[base64.b64decode(hash_) for hash_ in shown["hashes"]],
        )  # fmt: skip

    trust, owner = Trust(audit_public_key(settings)), settings.owner_database_url
    assert owner is not None
    false = find_false_tile(superuser_url, trust)
    assert false is not None
    await repair_tiles(false, owner_url=owner.get_secret_value, archive=None, trust=trust)
    assert find_false_tile(superuser_url, trust) is None
    await get(world, "/257/proof")


async def test_what_contradicts_the_checkpoint_is_not_given(
    world: World, deps: Deps, superuser_url: str
) -> None:
    """Where entries were changed too, or the newest checkpoint, the answer is an error that names the verifier."""
    await grow(deps, 300)
    await fill_tiles(deps)
    lie(superuser_url, "DELETE FROM tiles")
    lie(superuser_url, "UPDATE log SET entry = '{}' WHERE seq = 100")
    for path in ("/7/proof", "/consistency?old=7", "/tile/0/000", "/tile/entries/000"):
        assert "audit verify" in (await get(world, path, expect=503)).json()["detail"]
    lie(superuser_url, "UPDATE batches SET checkpoint = replace(checkpoint, '/audit/1', '/audit/2')")
    for path in ("/checkpoint", "/7/proof"):
        assert "audit verify" in (await get(world, path, expect=503)).json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET entry = '{}' WHERE seq = 100",
        f"INSERT INTO log SELECT seq, time - interval '1 second', {REST} FROM log WHERE seq = 100",
        "UPDATE log AS a SET entry = b.entry FROM log AS b WHERE a.seq + b.seq = 201 AND a.seq IN (100, 101)",
    ],
)
@pytest.mark.parametrize("tiled", [False, True])
async def test_entries_that_are_not_the_tree_s_are_not_given(
    world: World, deps: Deps, superuser_url: str, change: str, tiled: bool
) -> None:
    """A bundle with a changed, doubled or moved entry is an error, though its tile is stored and true."""
    await grow(deps, 300)
    if tiled:
        await fill_tiles(deps)
    await get(world, "/tile/entries/000")
    lie(superuser_url, change)
    assert "audit verify" in (await get(world, "/tile/entries/000", expect=503)).json()["detail"]


async def test_the_application_stores_no_tile_of_its_own(deps: Deps, settings: Settings) -> None:
    """Whoever has stolen the application's role can have tiles made of the log, and no others."""
    await grow(deps, 300)
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as application:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("INSERT INTO tiles VALUES (0, 0, %s, %s)", [bytes(32), bytes(8192)])
        application.execute("SELECT fill_tiles(1)")
    assert (
        find_false_tile(settings.database_url.get_secret_value(), Trust(audit_public_key(settings))) is None
    )


async def test_tiles_are_stored_to_any_height(deps: Deps, superuser_url: str) -> None:
    """Full tiles of every level are stored once their leaves are, by one worker at a time, each with its root."""
    leaves = [leaf_hash(b"{}" + b" " * (n % 9)) for n in range(256 * 257)]
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = origin")
        size = (connection.execute("SELECT max(size) FROM batches").fetchone() or (0,))[0]
        old = [row[0] for row in connection.execute("SELECT entry FROM log ORDER BY seq")]
        leaves[:size] = [leaf_hash(entry) for entry in old]
        connection.execute(
            "INSERT INTO log SELECT n, now(), 'k', 'o', 'a', '{}', '{}', '{}', NULL,"
            " convert_to('{}' || repeat(' ', n %% 9), 'UTF8') FROM generate_series(%s, %s) n",
            [size, len(leaves) - 1],
        )
        connection.execute(
            "INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint)"
            " VALUES (%s, %s, %s, %s, '', -1, 1, 'c')",
            [size, len(leaves), len(leaves) - size, sha256(b"").digest()],
        )
    await asyncio.gather(fill_tiles(deps), fill_tiles(deps))
    await fill_tiles(deps)
    roots = [subtree_root(leaves[at : at + 256]) for at in range(0, len(leaves), 256)]
    with psycopg.connect(superuser_url) as connection:
        stored = connection.execute(
            "SELECT level, index, root, hashes FROM tiles ORDER BY level, index"
        ).fetchall()
    assert stored == [
        *((0, n, root, b"".join(leaves[256 * n : 256 * n + 256])) for n, root in enumerate(roots)),
        (1, 0, subtree_root(roots[:256]), b"".join(roots[:256])),
    ]
