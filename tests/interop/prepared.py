"""Commands without the second that Python needs to read everything: a process that has read it forks for each of them.

`python -P tests/interop/prepared.py FD` takes orders from a socket. What comes of an order is a process as any other, with its
own folder, environment, arguments and files, and it ends with the command's exit code.
"""

import json
import os
import socket
import sys

from authsvc.faces.cli.main import main

LONGEST = 1 << 17
"""Bytes of an order."""


def become_a_command(asked: socket.socket) -> None:
    """Answer orders, and return in a process of its own for each; ends this one when nobody can give another."""
    while True:
        message, files, _, _ = socket.recv_fds(asked, LONGEST, 3)
        if not message:
            sys.exit()
        child = os.fork()
        if child == 0:
            break
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        asked.send(str(os.waitstatus_to_exitcode(status)).encode())
    asked.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    order = json.loads(message)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["authsvc", *order["arguments"]]


if __name__ == "__main__":
    become_a_command(socket.socket(fileno=int(sys.argv[1])))
    main()
