"""The keys of KEYS_DIR in memory, found by their ids; what another node has added since is read when it is first asked for."""

from datetime import datetime

from authsvc.adapters.keys.errors import KeySelfTestError
from authsvc.adapters.keys.folder import KeyFolder, KeySet
from authsvc.adapters.keys.selftest import check
from authsvc.adapters.keys.signing import SigningKey
from authsvc.core.service import Algorithm


class KeyRing:
    """Signing keys that have passed their self-test."""

    def __init__(self, folder: KeyFolder, keys: KeySet) -> None:
        self._folder = folder
        self._keys = keys
        self._checked: dict[str, tuple[SigningKey, datetime]] = {}

    @property
    def keys(self) -> KeySet:
        """Return everything that was loaded."""
        return self._keys

    def find(self, id_: str, *, now: datetime) -> SigningKey | None:
        """Return the key of this id, None when the folder does not hold it.

        Raises KeySelfTestError when it signs, or is certified, in a way that a registry would refuse; that a certificate has
        ended since is found too, whichever header its tokens have, as it would be found at the next start.
        """
        if id_ not in self._checked:
            key = self._look_up(id_)
            if key is None and self._folder.may_hold(id_):
                self._keys = self._folder.load()
                key = self._look_up(id_)
            if key is None:
                return None
            check(key, self._keys.authority, now=now)
            self._checked[id_] = key, self.ends_at(key)
        key, end = self._checked[id_]
        if now > end:
            raise KeySelfTestError(f"key {id_}: its certificate ended at {end:%Y-%m-%d %H:%M} UTC: rotate it")
        return key

    def ends_at(self, key: SigningKey) -> datetime:
        """Return when registries begin to refuse a key: at the end of its certificate, or of the authority's."""
        authority = self._keys.authority.certificate
        return min(key.certificate.not_valid_after_utc, authority.not_valid_after_utc)

    def newest(self, algorithm: Algorithm, service: str | None) -> SigningKey | None:
        """Return the newest key of an algorithm that is a service's own, or (None) shared."""
        fitting = [k for k in self._keys.token_keys if k.algorithm is algorithm and k.service == service]
        return fitting[-1] if fitting else None

    def create(self, algorithm: Algorithm, service: str | None, *, now: datetime) -> SigningKey:
        """Add a key to the folder; raises ReadOnlyKeyFolderError when it cannot be written."""
        key = self._folder.create_token_key(algorithm, service=service, now=now)
        self._keys = self._folder.load()
        return key

    def _look_up(self, id_: str) -> SigningKey | None:
        return next((key for key in self._keys.token_keys if key.kid_id == id_), None)
