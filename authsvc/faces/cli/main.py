"""The commands, and how they end: 0 done, 1 failed, 2 used wrongly, and what `audit verify` adds to these."""

import sys

import typer

from authsvc.core.errors import AuthsvcError, InvalidInputError
from authsvc.faces.cli import (
    audit,
    custody,
    expiring,
    export_audit,
    find_audit,
    findings,
    groups,
    keys,
    projects,
    read_audit,
    robots,
    server,
    services,
    setup,
    users,
    why,
)
from authsvc.faces.cli.options import option_of
from authsvc.wiring import configure_logs

FAILED, USAGE = 1, 2

application = typer.Typer(
    name="authsvc",
    help="Token authorization for Docker and OCI registries. Settings are read from AUTHSVC_*; the README lists them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
application.command("serve")(server.serve)
application.command("worker", hidden=True)(server.worker)
application.command("migrate")(setup.migrate)
application.command("bootstrap")(setup.bootstrap)
application.command("doctor")(setup.doctor)
application.add_typer(setup.admin, name="admin")
application.add_typer(users.user, name="user")
application.add_typer(users.token, name="token")
application.add_typer(users.session, name="session")
application.add_typer(groups.group, name="group")
application.add_typer(groups.role, name="role")
application.add_typer(projects.project, name="project")
application.add_typer(projects.binding, name="binding")
application.add_typer(robots.robot, name="robot")
application.add_typer(robots.secret, name="secret")
application.add_typer(services.service, name="service")
application.command("expiring")(expiring.expiring)
application.command("explain")(why.explain)
application.command("who-can")(why.who_can)
application.command("access-review")(why.review_access)
application.add_typer(setup.config, name="config")
application.add_typer(setup.db, name="db")
application.add_typer(keys.keys, name="keys")
audit.audit.command("query")(read_audit.query)
audit.audit.command("find")(find_audit.find)
audit.audit.command("export")(export_audit.export)
audit.audit.command("findings")(findings.findings)
audit.audit.command("vkey")(find_audit.vkey)
application.add_typer(audit.audit, name="audit")
audit.audit.command("recover")(custody.recover)
audit.audit.command("prune")(custody.prune)
audit.audit.command("repair-tiles")(custody.repair)


def main() -> None:
    """Run one command; what fails is told in lines that say what to do, on standard error."""
    configure_logs()
    if any("\ud800" <= character <= "\udfff" for argument in sys.argv[1:] for character in argument):
        _tell("an argument is no UTF-8 text")
        sys.exit(USAGE)
    try:
        application()
    except InvalidInputError as error:
        for fault in error.faults:
            _tell(f"{option_of(fault.where)}: {fault.what}")
        sys.exit(FAILED)
    except AuthsvcError as error:
        for line in str(error).splitlines():
            _tell(line)
        sys.exit(FAILED)


def _tell(line: str) -> None:
    print(f"authsvc: {line}", file=sys.stderr)  # noqa: T201 - the command line's own voice
