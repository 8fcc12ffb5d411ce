"""Folders for data that need not outlast a test: in memory where there is room, as a clean machine's disk is slow."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes that must be free there; containers often have 64 MiB."""


@contextmanager
def memory_folder(name: str) -> Iterator[Path]:
    """Make an empty folder that others than root may enter, with a path short enough for Unix sockets, and remove it."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM
    folder = Path(tempfile.mkdtemp(prefix=f"authsvc-{name}-", dir=_MEMORY if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
