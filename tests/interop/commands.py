"""Running `authsvc …` as a process of its own, without the second that Python needs to read everything."""

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.programs import PATIENCE, Ended, environment

_PREPARED = Path(__file__).parent / "prepared.py"


class Commands:
    """The process of `prepared.py`, which forks for each command; it is started for the first."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def run(
        self, arguments: Sequence[str], *, env: Mapping[str, str], folder: Path, stdin: str = ""
    ) -> Ended:
        """Run one command to its end."""
        order = {"arguments": list(arguments), "env": dict(env), "folder": str(folder)}
        orders = self._start()
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin.encode())
            given.seek(0)
            socket.send_fds(
                orders, [json.dumps(order).encode()], [given.fileno(), out.fileno(), err.fileno()]
            )
            code = int(orders.recv(16))
            out.seek(0)
            err.seek(0)
            texts = [file.read().decode(errors="replace") for file in (out, err)]
        return Ended(code, texts[0], texts[1], ["authsvc", *arguments])

    def close(self) -> None:
        """End the process, if it was started."""
        if self._orders is not None and self._process is not None:
            self._orders.close()
            self._process.wait(PATIENCE)

    def _start(self) -> socket.socket:
        if self._orders is None:
            self._orders, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._orders.settimeout(PATIENCE)
            with asked:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", str(_PREPARED), str(asked.fileno())],
                    env=environment(Path("/")),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[asked.fileno()],
                )
        return self._orders


commands = Commands()
"""Those of this test run."""
