"""The server's own console as somebody who administers: whoever owns the machine."""

from dataclasses import dataclass

from authsvc.adapters.postgres.known import Basis
from authsvc.core.permission import ADMINISTRATOR
from authsvc.core.principal import SYSTEM, Binding
from authsvc.operations.authenticate import Authenticated

KIND = "console"
"""What the log calls the credential of a change made here; its id is the operating system's user."""


@dataclass(frozen=True, slots=True)
class AtConsole(Authenticated):
    """Who runs a command where the keys and the database are, and so could do anything without asking us.

    INVARIANT: the command line alone makes one. `identify`, through which every network face comes to its actor, gives what
    `authenticate` found, which is never this; import-linter keeps this module out of those faces.
    """


AT_CONSOLE = AtConsole(SYSTEM, (Binding(KIND, ADMINISTRATOR, None),), Basis(0))
