"""The commands, and how they end: 0 done, 1 failed, 2 used wrongly, and what `audit verify` adds to these."""

import sys

import typer

from authsvc.core.errors import AuthsvcError
from authsvc.faces.cli import audit, keys, read_audit, server, setup
from authsvc.wiring import configure_logs

FAILED = 1

application = typer.Typer(
    name="authsvc",
    help="Token authorization for Docker and OCI registries. Settings are read from AUTHSVC_*; the README lists them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
application.command("serve")(server.serve)
application.command("worker", hidden=True)(server.worker)
application.command("migrate")(setup.migrate)
application.command("bootstrap")(setup.bootstrap)
application.add_typer(setup.admin, name="admin")
application.add_typer(setup.config, name="config")
application.add_typer(setup.db, name="db")
application.add_typer(keys.keys, name="keys")
audit.audit.command("query")(read_audit.query)
application.add_typer(audit.audit, name="audit")


def main() -> None:
    """Run one command; what fails is told in lines that say what to do, on standard error."""
    configure_logs()
    try:
        application()
    except AuthsvcError as error:
        for line in str(error).splitlines():
            print(f"authsvc: {line}", file=sys.stderr)  # noqa: T201 - the command line's own voice
        sys.exit(FAILED)
