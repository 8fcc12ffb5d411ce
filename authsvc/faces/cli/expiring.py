"""authsvc expiring: what will stop working unless somebody acts."""

from typing import Annotated

import typer

from authsvc.faces.cli.console import run_list
from authsvc.faces.cli.options import LimitOption
from authsvc.faces.cli.output import Form, FormOption, show_list
from authsvc.faces.views import view_expiring
from authsvc.operations.list_expiring import list_expiring

MAX_DAYS = 3660


def expiring(
    *,
    days: Annotated[
        int, typer.Option(min=1, max=MAX_DAYS, metavar="NUMBER", help="Within how many days it ends.")
    ] = 30,
    limit: LimitOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """List what ends soon: bindings, secrets and tokens."""
    found = run_list(lambda deps, actor, asked: list_expiring(deps, actor, days, asked), limit)
    columns = ("expires_at", "kind", "id", "subject", "project", "role", "label", "last_used_at")
    show_list(found, view_expiring, columns, output, empty=f"nothing ends within {days} days")
