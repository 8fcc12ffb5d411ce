"""The database's transactions: what their errors say."""

import pytest
from sqlalchemy import text

from authsvc.core.errors import UnavailableError
from authsvc.operations.deps import Deps

CANARY = "the-hash-of-somebody's-password"


async def test_no_error_tells_what_a_statement_was_given(deps: Deps) -> None:
    """Neither an error of a statement nor what it rests on, which is logged with it, holds the statement's parameters."""
    statement = text("SELECT 1 / length(:empty) WHERE :given <> ''").bindparams(empty="", given=CANARY)
    with pytest.raises(UnavailableError) as caught:
        async with deps.database.read() as read:
            await read.rows(statement)
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in str(error)
        error = error.__cause__
