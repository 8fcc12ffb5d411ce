"""A registry keeps accepting while signing keys are renewed: it trusts the authority, and is neither told nor restarted."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from authsvc.adapters.keys.folder import KeyFolder
from authsvc.core.service import Algorithm
from tests.interop.deployment import Registry, Service
from tests.interop.programs import require, wait_until

TWO_YEARS = timedelta(days=730)


@pytest.fixture
def aging(own_service: Service) -> Service:
    """`authsvc serve` of two workers over a folder that was made two years ago: its certificates end in ten days."""
    keys = own_service.folder / "keys"
    made = datetime.now(UTC) - TWO_YEARS + timedelta(days=10)
    KeyFolder(keys).create_missing(algorithms={Algorithm.ES256}, now=made)
    own_service.settings |= {"AUTHSVC_KEYS_DIR": str(keys), "AUTHSVC_WORKERS": "2"}
    return own_service.start()


@pytest.fixture
def trusting(aging: Service, tmp_path: Path) -> Iterator[Registry]:
    """A registry with the block that `serve` printed."""
    require("docker-registry")
    made = Registry(tmp_path, aging.auth_block())
    try:
        yield made.start()
    finally:
        made.close()


def _keys(service: Service) -> dict[str, dict[str, Any]]:
    printed = service.command("keys", "list", "-o", "json").succeeded().out
    return {key["id"]: key for key in json.loads(printed)}


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_a_registry_accepts_through_a_renewal_and_a_rotation(aging: Service, trusting: Registry) -> None:
    """Tokens under the key that ends, the one that was renewed by itself, and the one that `keys rotate` made, are all good."""

    def token() -> str:
        return aging.token(by=aging.administrator(), service=trusting.service)

    def signs(id_: str) -> bool:
        new = token()
        assert trusting.request("GET", "/", token=new).status_code == 200
        return _kid(new) == id_

    wait_until(lambda: "active" in {key["state"] for key in _keys(aging).values()}, "an active key")
    first = min(_keys(aging).values(), key=lambda key: str(key["created_at"]))["id"]
    before = token()
    wait_until(lambda: not signs(first), "the renewed key signs")
    rotated = json.loads(aging.command("keys", "rotate", "-o", "json").succeeded().out)
    assert rotated["state"] == "published"
    wait_until(lambda: signs(rotated["id"]), "the rotated key signs")
    assert trusting.request("GET", "/", token=before).status_code == 200
    states = {id_: key["state"] for id_, key in _keys(aging).items()}
    assert (states[first], states[rotated["id"]]) == ("retired", "active")
    assert len(states) == 3
