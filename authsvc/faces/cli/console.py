"""Doing one thing as whoever is at the server's own console, which the log names by the operating system's user."""

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from authsvc.config import read_settings
from authsvc.core.event import Requester
from authsvc.operations import console
from authsvc.operations.act import Actor
from authsvc.operations.console import AT_CONSOLE
from authsvc.operations.deps import Deps
from authsvc.operations.page import MAX_LIMIT, Asked, Page
from authsvc.wiring import open_deps

_T = TypeVar("_T")

_LOGIN = Path("/proc/self/loginuid")
_NO_LOGIN = 2**32 - 1


def run(work: Callable[[Deps, Actor], Awaitable[_T]]) -> _T:
    """Return what `work` returns, done on the database of the settings; raises StartupError where nothing runs."""

    async def opened() -> _T:
        async with open_deps(read_settings()) as deps:
            return await work(deps, at_console())

    return asyncio.run(opened())


def at_console() -> Actor:
    """Return who is at the console; the only place that makes such an actor."""
    by = Requester(AT_CONSOLE.principal, credential_kind=console.KIND, credential_id=_system_user())
    return Actor(AT_CONSOLE, by, None)


def run_list(
    list_page: Callable[[Deps, Actor, Asked], Awaitable[Page[_T]]], limit: int | None
) -> tuple[list[_T], bool]:
    """Return a whole list, or its first `limit` things, page by page, and whether it goes on."""

    async def collect(deps: Deps, actor: Actor) -> tuple[list[_T], bool]:
        items: list[_T] = []
        after = ""
        while True:
            left = MAX_LIMIT if limit is None else min(MAX_LIMIT, limit - len(items))
            page = await list_page(deps, actor, Asked(after, left))
            items.extend(page.items)
            if page.next_after is None or len(items) == limit:
                return items, page.next_after is not None
            after = page.next_after

    return run(collect)


def _system_user() -> str:
    """Return the name of the user that this process runs as, and of who signed in where that is another: `alice as root`."""
    effective = os.geteuid()
    login = _login(effective)
    return _name(effective) if login == effective else f"{_name(login)} as {_name(effective)}"


def _login(effective: int) -> int:
    """Return who signed in to this machine, which neither `su` nor `sudo` changes, as far as the kernel keeps it."""
    try:
        login = int(_LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return effective
    return effective if login == _NO_LOGIN else login


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"  # containers run as users that have no name
