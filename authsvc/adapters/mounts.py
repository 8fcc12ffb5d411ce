"""What kind of file system a path is on, as Linux tells it (proc(5), mountinfo)."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_POINT = 4
EPHEMERAL = frozenset({"overlay", "aufs", "tmpfs", "ramfs"})
"""Kinds that end with their container or machine."""


def file_system_of(path: Path) -> str | None:
    """Return the kind of file system that a path is on, or will be; None where the system does not tell."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    best, kind = "", None
    for line in lines:
        mount, _, source = line.partition(" - ")
        point = mount.split(" ")[_POINT].encode("utf-8", "surrogateescape").decode("unicode_escape")
        is_above = os.path.commonpath([point, place]) == point
        if is_above and len(point) >= len(best):  # of two mounted on one another, the later
            best, kind = point, source.split(" ")[0]
    return kind
