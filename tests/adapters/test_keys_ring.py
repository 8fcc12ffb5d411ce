"""The ring hands out keys that registries take, and none when they no longer do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authsvc.adapters.keys.errors import KeySelfTestError
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.keys.ring import KeyRing
from authsvc.core.errors import UnavailableError
from authsvc.core.service import Algorithm

NOW = datetime(2026, 11, 23, 17, 49, tzinfo=UTC)


def test_a_key_whose_certificate_ends_while_it_signs_is_refused(tmp_path: Path) -> None:
    """A key that passed its self-test is given out until the last moment of its certificate, and not after it."""
    folder = KeyFolder(tmp_path / "keys")
    folder.create_missing(algorithms=[Algorithm.ES256], now=NOW)
    ring = KeyRing(folder, folder.load())
    key = ring.newest(Algorithm.ES256, None)
    assert key is not None
    end = ring.ends_at(key)
    assert ring.find(key.kid_id, now=NOW) is key
    assert ring.find(key.kid_id, now=end) is key
    with pytest.raises(KeySelfTestError, match="rotate it") as caught:
        ring.find(key.kid_id, now=end + timedelta(seconds=1))
    assert isinstance(caught.value, UnavailableError)
