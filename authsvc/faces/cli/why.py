"""authsvc explain, who-can and access-review: why somebody is refused, and who reaches what."""

from enum import StrEnum
from typing import Annotated

import typer

from authsvc.core.decide import Grant
from authsvc.core.reason import MEANINGS
from authsvc.faces.answers import ExplainedView
from authsvc.faces.cli.console import run, run_list
from authsvc.faces.cli.options import LimitOption, read_body
from authsvc.faces.cli.output import Form, FormOption, show, show_json, show_list
from authsvc.faces.models import ExplainBody
from authsvc.faces.reach_views import view_reach, view_review_row, write_review
from authsvc.faces.views import view_explained
from authsvc.operations.explain import Question
from authsvc.operations.explain import explain as explain_operation
from authsvc.operations.explain_event import explain_event
from authsvc.operations.review_access import review_access as review_operation
from authsvc.operations.review_access import review_all_access
from authsvc.operations.who_can import Sought
from authsvc.operations.who_can import who_can as who_can_operation

ServiceOption = Annotated[str, typer.Option(metavar="SERVICE", help="At this registry.")]
AddressOption = Annotated[str | None, typer.Option(metavar="ADDRESS", help="From this IP address.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="At this time, as 2030-01-31T12:00:00Z: when bindings begin and end is held against it. It is today's policy that "
        "is asked; what was decided in the past is --event of `authsvc explain`.",
    ),
]


class ReviewForm(StrEnum):
    """The form of an access review."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def explain(
    scopes: Annotated[
        list[str] | None, typer.Argument(metavar="SCOPE...", help="As repository:acme/app:pull,push.")
    ] = None,
    *,
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="Who: alice, acme+ci, system+scanner; default: anonymous.")
    ] = "",
    service: ServiceOption = "",
    address: AddressOption = None,
    at: AtOption = None,
    credential: Annotated[
        str | None,
        typer.Option(metavar="ID", help="With this personal access token or robot secret of the account."),
    ] = None,
    event: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SEQ",
            help="Decide this token.issued event of the log again, by the policy of its moment.",
        ),
    ] = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Say what a token would be granted and refused, and why.

    Asked now, at another time, or as it was decided in the log (--event).
    """
    if event is not None:
        others = (scopes, account, service, address, at, credential)
        if any(others):
            raise typer.BadParameter("--event says everything itself: leave out all else")
        replayed = run(lambda deps, _: explain_event(deps, event))
        _show([(str(grant.scope), grant) for grant in replayed.grants], output)
        return
    if not scopes:
        raise typer.BadParameter("give the scopes that are asked for, or --event SEQ")
    body = read_body(
        ExplainBody,
        account=account,
        service=service,
        scopes=scopes,
        address=address,
        at=at,
        credential=credential,
    )
    question = Question(body.account, body.service, body.scopes, body.address, body.at, body.credential)
    explained = run(lambda deps, actor: explain_operation(deps, actor, question))
    _show([(answer.scope, answer.grant) for answer in explained], output)


def who_can(
    repository: Annotated[
        str, typer.Argument(metavar="REPOSITORY", help="The repository in full, as acme/app.")
    ],
    action: Annotated[str, typer.Argument(metavar="ACTION", help="As pull, push or delete.")],
    *,
    service: ServiceOption = "",
    address: AddressOption = None,
    at: AtOption = None,
    limit: LimitOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """List everybody who may do something to a repository.

    There is a line for each binding that allows it. Without --service or --address its conditions on these count as met, and
    are shown.
    """
    where = read_body(ExplainBody, scopes=[], service=service, address=address, at=at)
    sought = Sought(repository, action, where.service, where.address, where.at)
    found = run_list(lambda deps, actor, asked: who_can_operation(deps, actor, sought, asked), limit)
    columns = (
        "kind", "name", "reason", "role", "group", "project", "binding",
        "services", "cidrs", "not_before", "expires_at",
    )  # fmt: skip
    show_list(found, view_reach, columns, output, empty=f"nobody may {action} {repository}")


def review_access(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")],
    *,
    limit: LimitOption = None,
    output: Annotated[
        ReviewForm,
        typer.Option(
            "-o", "--output", help="table for people, json for machines, csv for spreadsheets (always whole)."
        ),
    ] = ReviewForm.TABLE,
) -> None:
    """List who reaches a project, through what, and when last.

    A last use is the newest token for the project among a principal's 500 newest events.
    """
    if output is ReviewForm.CSV:
        rows = run(lambda deps, actor: review_all_access(deps, actor, project))
        typer.echo(write_review(rows), nl=False)
        return
    found = run_list(lambda deps, actor, asked: review_operation(deps, actor, project, asked), limit)
    columns = (
        "kind", "name", "state", "permissions", "repositories", "reason", "role", "group", "project", "binding",
        "services", "cidrs", "not_before", "expires_at", "last_used",
    )  # fmt: skip
    show_list(found, view_review_row, columns, Form(output.value), empty="nobody reaches this project")


def _show(answers: list[tuple[str, Grant]], output: Form) -> None:
    views = [view_explained(text, grant) for text, grant in answers]
    if output is Form.JSON:
        show_json({"grants": views})
        return
    show([row for view in views for row in _rows(view)], output)


def _rows(view: ExplainedView) -> list[dict[str, object]]:
    return [
        {"scope": view["scope"], **reason, "meaning": MEANINGS[reason["reason"]]}
        for reason in view["reasons"]
    ]
