"""The server's settings, on its command line, where neither `postgresql.conf` nor ALTER SYSTEM can override them."""

from pathlib import Path

from authsvc.adapters.embedded.cluster import Cluster

# INVARIANT: a statement can hold a secret, so no statement, parameter, or detail of an error reaches the log.
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
_DURABLE = {"fsync": "on", "full_page_writes": "on"}
_UNSAFE = {"fsync": "off", "full_page_writes": "off"}


def server_settings(cluster: Cluster, *, socket_folder: Path, fast_unsafe: bool) -> list[str]:
    """Give the `-c name=value` arguments; the server works in its data folder, so that one is `.` to it."""
    settings = {
        **_SETTINGS,
        **(_UNSAFE if fast_unsafe else _DURABLE),
        "cluster_name": cluster_name(cluster),
        "unix_socket_directories": "." if socket_folder == cluster.pgdata else str(socket_folder),
    }
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def cluster_name(cluster: Cluster) -> str:
    """Name the cluster by its data folder's inode; every process of its server shows it in its command line."""
    return f"authsvc-{cluster.pgdata.stat().st_ino}"
