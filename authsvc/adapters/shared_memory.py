"""A piece of memory that the workers of one service share, as a file that they map."""

import mmap
import os
import secrets
from pathlib import Path

PRIVATE = 0o600


def create_shared(path: Path, size: int) -> None:
    """Make `size` zero bytes at `path`; who has mapped what was there before goes on with that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        # INVARIANT: the disk's blocks are taken now: touching what a full disk cannot give kills the process.
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
    # INVARIANT: never truncated in place: touching what is mapped beyond a file's end kills the process.
    new.rename(path)


def open_shared(path: Path, size: int) -> memoryview | None:
    """Return the memory, or None when nobody made it, as for a worker that `serve` did not start."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if os.fstat(descriptor).st_size != size:
            return None
        return memoryview(mmap.mmap(descriptor, size))
    finally:
        os.close(descriptor)
