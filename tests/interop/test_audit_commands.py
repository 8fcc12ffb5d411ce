"""`authsvc audit` beside a running service: asking, proving, and finding what was changed."""

import json
from pathlib import Path

import jwt
import psycopg
import pytest

from authsvc.core.merkle import leaf_hash
from authsvc.core.note import Checkpoint, parse_note
from authsvc.core.tlog_proof import TlogProof
from tests.interop.clients import SKOPEO_DENIED, Image, Skopeo
from tests.interop.deployment import Account, Service
from tests.interop.programs import Ended


def test_what_a_client_did_is_in_the_log(
    service: Service, skopeo: Skopeo, acme: dict[str, Account], pushed: tuple[str, Image]
) -> None:
    """A refused push is found by who and where, with the actions that were refused."""
    skopeo.push(pushed[1], "acme/audited", acme["reader"]).failed(code=1, saying=SKOPEO_DENIED)
    asked = ["audit", "query", "--actor", "reader", "--repository", "acme/audited"]
    events = json.loads(service.command(*asked, "-o", "json").succeeded().out)
    assert events
    for event in events:
        assert (event["kind"], event["actor"]["name"]) == ("token.issued", "reader")
        assert event["address"] == "127.0.0.1"
        assert event["outcome"] in ("partial", "refused")


def test_a_token_leads_to_its_event(service: Service, acme: dict[str, Account]) -> None:
    """The id in a token, given to `audit query`, is answered with the one event that it came from."""
    token = service.token("repository:acme/app:pull", by=acme["reader"], service="registry.localhost")
    jti = _jti_of(token)
    (event,) = json.loads(service.command("audit", "query", "--jti", jti, "-o", "json").succeeded().out)
    assert (event["seq"], event["actor"]["name"]) == (int(jti.split(".")[1]), "reader")


def test_a_found_token_is_proved_into_files(
    service: Service, acme: dict[str, Account], tmp_path: Path
) -> None:
    """A token on standard input gives its event, the entry that was hashed and a proof of it; a changed one exits with 1."""
    token = service.token("repository:acme/app:pull", by=acme["reader"], service="registry.localhost")
    proof, entry = tmp_path / "token.tlog-proof", tmp_path / "entry.json"
    files = ["--proof", str(proof), "--entry", str(entry)]
    told = service.command("audit", "find", "--token", "-", *files, stdin=token).succeeded()
    assert "signature: good" in told.out
    assert "claims: as logged" in told.out
    path = TlogProof.parse(proof.read_text())
    path.verify(leaf_hash(entry.read_bytes()), Checkpoint.parse(parse_note(path.checkpoint).text))
    service.command("audit", "find", "--token", "-", stdin=token[:-8] + "AAAAAAAA").failed(
        code=1, saying="BAD"
    )
    _is_one_line(service.command("audit", "find", "--token", token).failed(code=1, saying="standard input"))


def test_verification(own_service: Service) -> None:
    """An auditor proves the log while the service runs; one changed column is found, and told with its place."""
    own_service.start()
    own_service.add_user("alice")
    auditor = own_service.command("db", "url", "--role", "auditor").succeeded().out.strip()
    proved = own_service.command("audit", "verify", "--dsn", auditor).succeeded()
    assert proved.out.startswith("proved: ")

    assert "nothing to repair" in own_service.command("audit", "repair-tiles").succeeded().out

    superuser = own_service.command("db", "url", "--role", "superuser").succeeded().out.strip()
    with psycopg.connect(superuser) as connection:
        connection.execute("INSERT INTO tiles VALUES (0, 7, %s, %s)", [bytes(32), bytes(8192)])
    own_service.command("audit", "verify").failed(code=1, saying="audit repair-tiles")
    own_service.command("audit", "repair-tiles").failed(code=1, saying="nothing was changed: add --yes")
    own_service.command("audit", "repair-tiles", "--yes").succeeded()
    own_service.command("audit", "verify").succeeded()

    with psycopg.connect(superuser) as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(
            psycopg.errors.InsufficientPrivilege
        ):  # even a superuser must take the guard off first
            connection.execute("UPDATE log SET actor = 'mallory' WHERE seq = 3")
    with psycopg.connect(superuser) as connection:
        (partition,) = connection.execute("SELECT DISTINCT tableoid::regclass::text FROM log").fetchone() or (
            "",
        )
        connection.execute(f"ALTER TABLE {partition} DISABLE TRIGGER ALL".encode())
        connection.execute("UPDATE log SET actor = 'mallory' WHERE seq = 3")
    told = own_service.command("audit", "verify").failed(code=1, saying="tampered: ")
    assert "3" in told.out
    _is_one_line(told)


def test_proofs_and_archives_need_no_database(
    service: Service, acme: dict[str, Account], tmp_path: Path
) -> None:
    """An entry with its proof, and an archive, verify by files and a key alone; a change is exit 1 with its place."""
    service.token("repository:acme/app:pull", by=acme["reader"], service="registry.localhost")
    entry, proof, folder = tmp_path / "entry", tmp_path / "proof", tmp_path / "archive"
    find = ("audit", "find", "--seq", "3", "--entry", str(entry), "--proof", str(proof))
    service.command(*find).succeeded()
    verify = ("audit", "verify", "-o", "json")
    one = json.loads(service.command(*verify, "--proof", str(proof), "--entry", str(entry)).succeeded().out)
    assert (one["result"], one["seq"]) == ("proved", 3)

    service.command("audit", "archive", str(folder)).succeeded()
    whole = json.loads(service.command(*verify, "--archive", str(folder)).succeeded().out)
    assert (whole["result"], whole["entries"] > whole["decisions"] > 0) == ("proved", True)

    entry.write_bytes(entry.read_bytes().replace(b'"time":1', b'"time":2'))
    service.command("audit", "verify", "--proof", str(proof), "--entry", str(entry)).failed(
        code=1, saying="tampered: "
    )
    bundle = next(folder.glob("tile/entries/*.p/*"))
    bundle.write_bytes(bundle.read_bytes().replace(b"reader", b"writer"))
    service.command("audit", "verify", "--archive", str(folder)).failed(code=1, saying="tampered: entry ")
    _is_one_line(service.command("audit", "verify", "--proof", str(proof)).failed(code=2, saying="--entry"))
    _is_one_line(service.command("audit", "verify", "--vkey", "nonsense").failed(code=2, saying="authsvc: "))


def test_verification_without_a_database(service: Service) -> None:
    """A database that cannot be read is an incomplete verification, never a proof and never a tampering."""
    absent = "postgresql://nobody@127.0.0.1:1/none"
    _is_one_line(service.command("audit", "verify", "--dsn", absent).failed(code=3, saying="incomplete: "))


def test_wrong_questions(service: Service) -> None:
    """A question that cannot be asked is a usage error, told by its option."""
    service.command("audit", "query", "--jti", "nonsense").failed(code=2, saying="--jti")


def _jti_of(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


def _is_one_line(ended: Ended) -> None:
    assert len((ended.out + ended.err).splitlines()) == 1, ended
