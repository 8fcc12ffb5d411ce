"""The admin API against its own document, by schemathesis: what is generated from it, on a real socket.

Two of its checks are left out. `positive_data_acceptance`, as no schema says which names exist, which cursor is of which list or
which of two times is the later one; `test_admin_document.py` sends every example instead. `ignored_auth`, as the throttle
answers a stranger's many attempts with 429; `test_admin_matrix.py` has every route tried by nobody.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.faces.realm import Realm
from tests.faces.wire import Wire
from tests.world import ADMIN, ADMIN_PASSWORD, API, password_of

FULL = os.environ.get("CAMPAIGN") == "full"
MORE = (
    ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "50"]
    if FULL
    else ["--phases", "examples,coverage"]
)
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"


@pytest.mark.timeout(7200 if FULL else 900)
@pytest.mark.parametrize(
    "who", ["olga", ADMIN]
)  # the owner of a project first: the administrator deletes her
async def test_every_answer_is_one_that_the_document_describes(
    real_server: Wire, realm: Realm, tmp_path: Path, who: str
) -> None:
    """No request, valid or not, is answered by a fault of ours or in a form, status or header that is not documented."""
    password = ADMIN_PASSWORD if who == ADMIN else password_of(who)
    asking = await asyncio.create_subprocess_exec(
        SCHEMATHESIS, "run", f"http://127.0.0.1:{real_server.port}{API}/openapi.json", "--auth", f"{who}:{password}",
        *MORE, "--seed", "1", "--checks", "all", "--exclude-checks", "positive_data_acceptance,ignored_auth",
        "--continue-on-failure", "--no-shrink", "--suppress-health-check", "all", "--warnings", "off", "--no-color",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await asking.communicate()
    text = told.decode()
    assert asking.returncode == 0, text
    assert "Test Phases:" in text
    print(text)  # noqa: T201 - what pytest -s is asked for
