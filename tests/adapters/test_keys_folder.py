"""The key folder: created once, the same for everybody, and refused when others could read it."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from authsvc.adapters.keys import selftest
from authsvc.adapters.keys.errors import KeyFolderError, ReadOnlyKeyFolderError
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.keys.private_file import write_new
from authsvc.adapters.keys.signing import PrivateKey
from authsvc.adapters.keys.token_key_name import MAX_SERVICE_BYTES, TokenKeyName
from authsvc.core.service import Algorithm

NOW = datetime(2026, 11, 23, 17, 49, 30, 123456, tzinfo=UTC)
QUICK = (Algorithm.ES256, Algorithm.EDDSA)
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    """A complete folder with two shared keys."""
    created = KeyFolder(tmp_path / "keys")
    created.create_missing(algorithms=QUICK, now=NOW)
    return created


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def contents(folder: KeyFolder) -> dict[str, bytes]:
    """Every file of the folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def private_files(folder: KeyFolder) -> list[Path]:
    """The files that only their owner may read."""
    return [path for path in folder.path.iterdir() if path.name.endswith((".key", ".key.pem"))]


def token_file(folder: KeyFolder, ending: str) -> Path:
    """The shared ES256 key's file with this ending."""
    [path] = folder.path.glob(f"token-ES256-*{ending}")
    return path


def pem(private_key: PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as a file holds it."""
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_new_folder_holds_everything_with_the_right_modes(folder: KeyFolder) -> None:
    """Private files are 0600 in a folder that is 0700, and nothing temporary is left."""
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    names = set(contents(folder))
    assert {"ca.key.pem", "ca.cert.pem", "audit.key.pem", "hmac.key"} < names
    assert not [name for name in names if name.startswith(".new-")]
    assert len(private_files(folder)) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in private_files(folder)} == {0o600}


def test_what_was_created_loads_and_passes_the_self_test(folder: KeyFolder) -> None:
    """Each shared key is there once, certified by the authority, with its creation time in whole seconds."""
    loaded = folder.load()
    assert {key.algorithm for key in loaded.token_keys} == set(QUICK)
    for key in loaded.token_keys:
        assert (key.service, key.created_at) == (None, NOW.replace(microsecond=0))
        selftest.check(key, loaded.authority, now=NOW)
    assert len(loaded.audit.public_bytes) == 32
    assert loaded.digest.digest("secret", purpose="robot") == folder.load().digest.digest(
        "secret", purpose="robot"
    )


def test_creating_again_changes_nothing(folder: KeyFolder) -> None:
    """A second start, later and with fewer wishes, leaves every byte as it was."""
    before = contents(folder)
    folder.create_missing(algorithms=QUICK, now=NOW + timedelta(days=400))
    folder.create_missing(algorithms=[Algorithm.ES256], now=NOW)
    assert contents(folder) == before


def test_creating_adds_only_what_is_missing(folder: KeyFolder) -> None:
    """A lost file is made anew and a new algorithm gets a key; all else stays as it was."""
    (folder.path / "audit.key.pem").unlink()
    before = contents(folder)
    folder.create_missing(algorithms=list(Algorithm), now=NOW)
    after = contents(folder)
    assert before.items() <= after.items()
    added = sorted(name.split("-")[1] if "-" in name else name for name in after.keys() - before.keys())
    assert added == ["RS256", "RS256", "audit.key.pem"]
    key = next(key for key in folder.load().token_keys if key.algorithm is Algorithm.RS256)
    assert isinstance(key.public_key, rsa.RSAPublicKey)
    assert key.public_key.key_size == 3072


def test_a_lost_authority_certificate_is_made_anew_from_its_key(folder: KeyFolder) -> None:
    """Leaves that were issued before still lead to the authority."""
    (folder.path / "ca.cert.pem").unlink()
    folder.create_missing(algorithms=QUICK, now=NOW)
    loaded = folder.load()
    for key in loaded.token_keys:
        selftest.check(key, loaded.authority, now=NOW)


def test_a_lost_authority_key_is_never_replaced(folder: KeyFolder) -> None:
    """Registries trust the certificate that is still there, so a person must decide."""
    (folder.path / "ca.key.pem").unlink()
    before = contents(folder)
    with pytest.raises(KeyFolderError, match=r"ca\.key\.pem is missing.*restore"):
        folder.create_missing(algorithms=QUICK, now=NOW)
    assert contents(folder) == before


def test_threads_that_create_at_once_agree(tmp_path: Path) -> None:
    """Creators in one process end with one authority and one key for each algorithm."""
    barrier = threading.Barrier(4)

    def create() -> None:
        barrier.wait()
        KeyFolder(tmp_path / "keys").create_missing(algorithms=QUICK, now=NOW)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_one_consistent_set(KeyFolder(tmp_path / "keys"))


def test_processes_that_create_at_once_agree(tmp_path: Path) -> None:
    """Creators in separate processes, each with another clock, end with one consistent set."""
    program = (
        "import sys, pathlib, datetime\n"
        "from authsvc.adapters.keys.folder import KeyFolder\n"
        "from authsvc.core.service import Algorithm\n"
        "now = datetime.datetime(2026, 11, 23, int(sys.argv[2]), tzinfo=datetime.UTC)\n"
        "folder = KeyFolder(pathlib.Path(sys.argv[1]))\n"
        "sys.stdin.read(1)\n"
        "folder.create_missing(algorithms=[Algorithm.ES256, Algorithm.EDDSA], now=now)\n"
    )
    creators = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "keys"), str(hour)], stdin=subprocess.PIPE
        )
        for hour in range(3)
    ]
    for creator in creators:
        assert creator.stdin is not None
        creator.stdin.write(b"g")
        creator.stdin.close()
    assert [creator.wait() for creator in creators] == [0, 0, 0]
    assert_one_consistent_set(KeyFolder(tmp_path / "keys"))


def assert_one_consistent_set(folder: KeyFolder) -> None:
    """One key for each algorithm, and every certificate from the one authority."""
    loaded = folder.load()
    assert sorted(key.algorithm for key in loaded.token_keys) == sorted(QUICK)
    for key in loaded.token_keys:
        selftest.check(key, loaded.authority, now=NOW)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    """Writing to a name that is taken fails, keeps the first content, and leaves no temporary file."""
    path = tmp_path / "hmac.key"
    write_new(path, b"first")
    with pytest.raises(KeyFolderError, match="File exists"):
        write_new(path, b"second")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("hmac.key", b"first")]


def test_what_a_killed_creator_left_is_removed(folder: KeyFolder) -> None:
    """A temporary file may hold a private key, so the next creator deletes it; loading ignores it."""
    leftover = folder.path / ".new-abc"
    leftover.write_bytes(b"half a key")
    folder.load()
    folder.create_token_key(Algorithm.ES256, service=None, now=NOW)
    assert not leftover.exists()


def test_a_certificate_without_its_key_is_no_pair(folder: KeyFolder) -> None:
    """A creator that was killed between the two files leaves nothing that loads, and the next one makes a pair."""
    token_file(folder, ".key.pem").unlink()
    assert [key.algorithm for key in folder.load().token_keys] == [Algorithm.EDDSA]
    folder.create_missing(algorithms=QUICK, now=NOW)
    assert_one_consistent_set(folder)


def test_several_keys_of_one_algorithm_and_service_live_side_by_side(folder: KeyFolder) -> None:
    """Rotation adds, also twice within a second; keys come oldest first, each with its own certificate and service."""
    service = "registry.example.com:5000"
    later = NOW + timedelta(days=30)
    made = [
        folder.create_token_key(Algorithm.ES256, service=None, now=later),
        folder.create_token_key(Algorithm.ES256, service=service, now=later),
        folder.create_token_key(Algorithm.ES256, service=service, now=later),
    ]
    loaded = folder.load()
    assert [key.created_at for key in loaded.token_keys] == [NOW.replace(microsecond=0)] * 2 + [
        later.replace(microsecond=0)
    ] * 3
    found = {key.kid_id: key for key in loaded.token_keys}
    for key in made:
        assert found[key.kid_id].certificate == key.certificate
        assert found[key.kid_id].service == key.service
        selftest.check(found[key.kid_id], loaded.authority, now=later)


def test_a_key_of_a_service_is_not_a_shared_key(tmp_path: Path) -> None:
    """A service that calls itself `shared` does not stand in for the shared key."""
    folder = KeyFolder(tmp_path)
    folder.create_missing(algorithms=[], now=NOW)
    folder.create_token_key(Algorithm.ES256, service="shared", now=NOW)
    folder.create_missing(algorithms=[Algorithm.ES256], now=NOW)
    assert {key.service for key in folder.load().token_keys} == {None, "shared"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o611])
def test_every_private_file_that_others_may_use_is_refused(folder: KeyFolder, mode: int) -> None:
    """Any right of group or others on any private file stops the load, with the command that mends it."""
    for path in private_files(folder):
        path.chmod(mode)
        with pytest.raises(KeyFolderError, match=f"chmod 600 {path}") as refused:
            folder.load()
        assert "\n" not in str(refused.value)
        path.chmod(0o600)
    folder.load()


def test_stricter_modes_are_good(folder: KeyFolder) -> None:
    """A secret mounted as 0400 loads."""
    for path in private_files(folder):
        path.chmod(0o400)
    folder.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_private_file_of_another_user_is_refused(folder: KeyFolder) -> None:
    """Whoever owns the file can exchange the key, so the owner is us or root."""
    for path in private_files(folder):
        os.chown(path, NOBODY, -1)
        with pytest.raises(KeyFolderError, match=f"chown {os.geteuid()} {path}"):
            folder.load()
        os.chown(path, 0, -1)


def test_a_private_file_behind_a_link_is_judged_by_what_it_is(folder: KeyFolder) -> None:
    """Kubernetes mounts secrets as symbolic links: followed, and the mode of the target counts."""
    path = folder.path / "hmac.key"
    target = path.rename(folder.path.parent / "elsewhere")
    path.symlink_to(target)
    folder.load()
    target.chmod(0o644)
    with pytest.raises(KeyFolderError, match="chmod 600"):
        folder.load()


@pytest.mark.parametrize("name", ["ca.key.pem", "ca.cert.pem", "audit.key.pem", "hmac.key"])
def test_loading_creates_nothing_and_names_what_is_missing(folder: KeyFolder, name: str) -> None:
    """A file that is not there is one line with its path, and is still not there afterwards."""
    (folder.path / name).unlink()
    with pytest.raises(KeyFolderError, match=f"{folder.path / name} is missing"):
        folder.load()
    assert name not in contents(folder)


def test_a_missing_folder_is_an_error_to_load(tmp_path: Path) -> None:
    """Loading does not make the folder."""
    with pytest.raises(KeyFolderError, match="is missing"):
        KeyFolder(tmp_path / "none").load()
    assert not (tmp_path / "none").exists()


def test_a_token_key_without_its_certificate_is_refused(folder: KeyFolder) -> None:
    """Every replica must send the same chain, so no certificate is made up."""
    token_file(folder, ".cert.pem").unlink()
    with pytest.raises(KeyFolderError, match=r"\.cert\.pem is missing"):
        folder.load()


def test_a_certificate_that_is_not_the_authority_s_own_is_refused(folder: KeyFolder) -> None:
    """Somebody who can write public files cannot make us hand their certificate to registries."""
    (folder.path / "ca.cert.pem").write_bytes(token_file(folder, ".cert.pem").read_bytes())
    with pytest.raises(KeyFolderError, match="does not belong"):
        folder.load()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder.path / "hmac.key").write_bytes(b"short-secret"),
        lambda folder: (folder.path / "audit.key.pem").write_bytes(
            b"-----BEGIN PRIVATE KEY-----\nshort-secret\n"
        ),
        lambda folder: (folder.path / "audit.key.pem").write_bytes(
            pem(ec.derive_private_key(9, ec.SECP256R1()))
        ),
        lambda folder: (folder.path / "audit.key.pem").write_bytes(
            pem(ec.derive_private_key(9, ec.SECP256K1()))
        ),
        lambda folder: (folder.path / "ca.key.pem").write_bytes(pem(ed25519.Ed25519PrivateKey.generate())),
        lambda folder: (folder.path / "ca.cert.pem").write_bytes(b"short-secret"),
        lambda folder: token_file(folder, ".key.pem").write_bytes(pem(ed25519.Ed25519PrivateKey.generate())),
        lambda folder: token_file(folder, ".key.pem").rename(folder.path / "token-mine.key.pem"),
        lambda folder: (folder.path / "ca.key.pem").write_bytes(
            ec.derive_private_key(9, ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
            )
        ),
    ],
)
def test_damaged_and_exchanged_files_are_one_line_errors(
    folder: KeyFolder, damage: Callable[[KeyFolder], object]
) -> None:
    """Whatever is wrong with a file, the error names it, fits one line, and quotes nothing of it."""
    damage(folder)
    with pytest.raises(KeyFolderError, match=str(folder.path)) as refused:
        folder.load()
    assert "\n" not in str(refused.value)
    assert "short-secret" not in str(refused.value)
    assert refused.value.__cause__ is None or "short-secret" not in str(refused.value.__cause__)


def test_a_read_only_folder_serves_but_does_not_rotate(open_folder: Path) -> None:
    """A complete folder that cannot be written is good for everything except adding a key, which says why."""
    folder = KeyFolder(open_folder)
    folder.create_missing(algorithms=QUICK, now=NOW)
    open_folder.chmod(0o555)
    as_root = os.geteuid() == 0
    if as_root:
        for path in open_folder.iterdir():
            os.chown(path, NOBODY, -1)
        os.seteuid(NOBODY)
    try:
        folder.create_missing(algorithms=QUICK, now=NOW)
        assert len(folder.load().token_keys) == 2
        with pytest.raises(ReadOnlyKeyFolderError, match="cannot be written") as refused:
            folder.create_token_key(Algorithm.ES256, service=None, now=NOW)
        assert "\n" not in str(refused.value)
        with pytest.raises(ReadOnlyKeyFolderError):
            folder.create_missing(algorithms=list(Algorithm), now=NOW)
    finally:
        if as_root:
            os.seteuid(0)
        open_folder.chmod(0o755)


@given(
    st.sampled_from(Algorithm),
    st.none() | st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.text(alphabet="abcXYZ019-_", min_size=8, max_size=8),
)
def test_names_of_token_keys_say_what_was_put_into_them(
    algorithm: Algorithm, service: str | None, created_at: datetime, kid: str
) -> None:
    """Any service name survives the way through a file name, which Kubernetes accepts as a key of a Secret."""
    name = TokenKeyName(algorithm, service, created_at.replace(microsecond=0), kid)
    assert TokenKeyName.parse(str(name)) == name
    assert set(str(name)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


@pytest.mark.parametrize("service", ["", "x" * (MAX_SERVICE_BYTES + 1), "é" * MAX_SERVICE_BYTES])
def test_a_service_name_that_fits_no_file_is_refused(folder: KeyFolder, service: str) -> None:
    """The refusal comes before anything is written."""
    before = contents(folder)
    with pytest.raises(KeyFolderError, match="shorten"):
        folder.create_token_key(Algorithm.ES256, service=service, now=NOW)
    assert contents(folder) == before


def test_the_longest_service_name_fits(folder: KeyFolder) -> None:
    """The bound leaves room for everything else in a file name."""
    folder.create_token_key(Algorithm.ES256, service="x" * MAX_SERVICE_BYTES, now=NOW)
    assert len(folder.load().token_keys) == 3
