"""Connections are counted by who they come from, and files are not what stops them."""

import resource
from ipaddress import ip_network

import pytest

from authsvc.adapters.http_server import MAX_CONNECTIONS, Peers, make_room


def _too_many(peers: Peers, host: str | None) -> bool:
    return peers.are_too_many(peers.arrive(host))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::2"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1%eth1"),
    ],
)  # fmt: skip
def test_one_client_is_one_peer(first: str, second: str) -> None:
    """An IPv4 address however it is written, and an IPv6 network that one client has, are one."""
    peers = Peers(most_of_one=1)
    assert not _too_many(peers, first)
    assert _too_many(peers, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("192.0.2.7", "192.0.2.8"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("2001:db8::1", "2001:db8:0:1::1"),
    ],
)
def test_two_clients_are_two(first: str, second: str) -> None:
    """What one client has takes nothing from another."""
    peers = Peers(most_of_one=1)
    assert not _too_many(peers, first)
    assert not _too_many(peers, second)


@pytest.mark.parametrize("host", ["10.9.0.1", "::ffff:10.9.0.1", "2001:db8::9", None, "", "/run/socket"])
def test_who_stands_for_many_is_not_counted_as_one(host: str | None) -> None:
    """Trusted proxies and Unix sockets are held to the bound for all connections only."""
    trusted = (ip_network("10.9.0.0/16"), ip_network("2001:db8::9/128"))
    peers = Peers(trusted, most_of_one=1, most=3)
    assert [_too_many(peers, host) for _ in range(4)] == [False, False, False, True]


def test_who_leaves_makes_room() -> None:
    """A connection counts until it is gone, and nothing is kept of it then."""
    peers = Peers(most_of_one=1)
    peer = peers.arrive("192.0.2.7")
    peers.leave(peer)
    assert peers == Peers(most_of_one=1)
    assert not _too_many(peers, "192.0.2.7")


def test_a_worker_opens_as_many_files_as_it_may() -> None:
    """The soft limit of open files is raised to the hard one, and connections leave some of these for the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        room = make_room()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert 0 < room <= MAX_CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
