import json
import os
import stat
from pathlib import Path

import psycopg.conninfo
import pytest

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole, EmbeddedServerError


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A cluster that has passwords and nothing else."""
    made = Cluster(tmp_path)
    made.home.mkdir()
    made.create_passwords()
    return made


def test_passwords_are_chosen_once(cluster: Cluster) -> None:
    """Passwords differ from role to role, are the user's alone, and stay what they are."""
    passwords = cluster.passwords()
    assert len(set(passwords.values())) == len(ClusterRole)
    assert stat.S_IMODE(cluster.passwords_file.stat().st_mode) == 0o600
    cluster.create_passwords()
    assert cluster.passwords() == passwords


def test_the_url_carries_anything(cluster: Cluster) -> None:
    """Passwords, folders and databases of any characters come out of the driver's parser as they went in."""
    passwords = dict.fromkeys(ClusterRole, "p@ss:w/rd%?#&")
    cluster.passwords_file.write_text(json.dumps(passwords))
    cluster.socket_record.write_text("/tmp/a b&c%2F")
    told = psycopg.conninfo.conninfo_to_dict(cluster.url(ClusterRole.APP, "a/b?c"))
    assert told == {
        "user": "authsvc_app",
        "password": "p@ss:w/rd%?#&",
        "dbname": "a/b?c",
        "host": "/tmp/a b&c%2F",
        "port": "5432",
    }


def test_no_cluster_is_said_in_words(tmp_path: Path) -> None:
    """Before the first start the fault says what to run."""
    with pytest.raises(EmbeddedServerError, match="authsvc serve"):
        Cluster(tmp_path).url(ClusterRole.APP)


def test_passwords_that_others_can_read_are_refused(cluster: Cluster) -> None:
    """A passwords file with a wider mode is a fault, not a convenience."""
    cluster.passwords_file.chmod(0o640)
    with pytest.raises(EmbeddedServerError, match="chmod 600"):
        cluster.url(ClusterRole.APP)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_damaged_passwords_are_a_fault_with_no_contents(cluster: Cluster, text: str) -> None:
    """A passwords file that is not one is reported by name, in one line."""
    cluster.passwords_file.write_text(text)
    with pytest.raises(EmbeddedServerError, match="damaged") as fault:
        cluster.url(ClusterRole.APP)
    assert os.linesep not in str(fault.value)
