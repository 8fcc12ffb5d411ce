"""authsvc audit find: from a token or a sequence number to the event, and to files that prove it anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from authsvc.core.errors import Fault, InvalidInputError
from authsvc.faces.cli.console import run
from authsvc.faces.cli.output import Form, FormOption, show, show_json
from authsvc.faces.cli.read_audit import row_of
from authsvc.operations.find_token import FoundProof, FoundToken, Signature, find_event, find_token
from authsvc.operations.prove_audit import read_verifier_key

NOT_GENUINE = 1
STANDARD_INPUT = "-"

_SIGNATURES = {
    Signature.GOOD: "good, by the key that the event names",
    Signature.BAD: "BAD: not by the key that the event names",
    Signature.UNKNOWN: "not checked: the key that the event names is gone",
}


def find(
    token: Annotated[str | None, typer.Option(help="'-': read a token from standard input.")] = None,
    seq: Annotated[int | None, typer.Option(min=0, help="The event's place in the log.")] = None,
    proof: Annotated[Path | None, typer.Option(help="Write the C2SP proof to this file.")] = None,
    entry: Annotated[
        Path | None, typer.Option(help="Write the entry, as it was hashed, to this file.")
    ] = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Show the event of a token, or by its place, and prove it. Exits with 1 for a token that this service did not issue."""
    if token is not None and seq is None:
        if token != STANDARD_INPUT:
            raise InvalidInputError(
                Fault("--token", "is '-', and the token comes on standard input: others see arguments")
            )
        text = typer.get_text_stream("stdin").read().strip()
        told = run(lambda deps, actor: find_token(deps, actor, text))
        _write(told.found, proof, entry)
        _show_token(told, output)
        if not told.is_genuine:
            raise typer.Exit(NOT_GENUINE)
    elif seq is not None and token is None:
        place = seq
        found = run(lambda deps, actor: find_event(deps, actor, place))
        _write(found, proof, entry)
        if output is Form.JSON:
            show_json(found.describe())
        else:
            show([row_of(found.event)], output)
    else:
        raise InvalidInputError(Fault("audit find", "give one of --token - and --seq"))


def vkey() -> None:
    """Print the key that verifies checkpoints and proofs. Auditors keep it."""
    typer.echo(run(read_verifier_key))


def _show_token(told: FoundToken, output: Form) -> None:
    if output is Form.JSON:
        about = {
            "signature": told.signature.value,
            "as_logged": told.is_as_logged,
            "genuine": told.is_genuine,
        }
        show_json({**about, **told.found.describe()})
        return
    show([row_of(told.found.event)], output)
    typer.echo(f"signature: {_SIGNATURES[told.signature]}")
    typer.echo("claims: " + ("as logged" if told.is_as_logged else "NOT what was logged"))
    typer.echo(f"proof: under the checkpoint of {told.found.proof.checkpoint.splitlines()[1]} entries")


def _write(found: FoundProof, proof: Path | None, entry: Path | None) -> None:
    if proof is not None:
        proof.write_text(found.proof.to_text(), encoding="utf-8")
    if entry is not None:
        entry.write_bytes(found.event.row.entry)
