"""`KEYS_DIR`: one secret, the same on every replica (DESIGN 8).

    ca.key.pem  ca.cert.pem            the authority that registries trust
    token-*.key.pem  token-*.cert.pem  a pair for each key that signs tokens
    audit.key.pem                      signs the log's checkpoints
    hmac.key                           32 bytes, for digests of secrets

Files are added and never changed. Which token key is active is not written here: Postgres holds states and public halves.
"""

import contextlib
import fcntl
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from authsvc.adapters.keys.audit_key import AuditKey
from authsvc.adapters.keys.authority import CertificateAuthority
from authsvc.adapters.keys.digest import KEY_BYTES, SecretDigest
from authsvc.adapters.keys.errors import KeyFolderError, UnsupportedKeyError
from authsvc.adapters.keys.identifiers import thumbprint
from authsvc.adapters.keys.private_file import (
    PRIVATE,
    PUBLIC,
    TEMPORARY_PREFIX,
    read_private,
    read_public,
    unreadable,
    unwritable,
    write_new,
)
from authsvc.adapters.keys.signing import (
    PrivateKey,
    SigningKey,
    algorithm_of,
    generate,
    generate_p256,
    supported_private,
)
from authsvc.adapters.keys.token_key_name import TokenKeyName
from authsvc.core.service import Algorithm

_CA_KEY, _CA_CERTIFICATE, _AUDIT_KEY, _HMAC_KEY = "ca.key.pem", "ca.cert.pem", "audit.key.pem", "hmac.key"
_SINGLE_FILES = {_CA_KEY, _CA_CERTIFICATE, _AUDIT_KEY, _HMAC_KEY}
_KEY, _CERTIFICATE = ".key.pem", ".cert.pem"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class KeySet:
    """Everything the folder holds; token keys oldest first, with any number for one algorithm and service."""

    authority: CertificateAuthority
    token_keys: tuple[SigningKey, ...]
    audit: AuditKey
    digest: SecretDigest


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """The folder at `path`. All its methods raise `KeyFolderError`: one line that names a file and says what to do."""

    path: Path

    def create_missing(self, *, algorithms: Iterable[Algorithm], now: datetime) -> None:
        """Adds what is missing: each single file, and one shared token key for each of `algorithms` that has none.

        Writes nothing when nothing is missing, so that a read-only folder which is complete is good. The caller holds a
        database lock, so that replicas with folders of their own do not create in parallel.
        """
        wanted = set(algorithms)
        if self._is_complete(wanted):
            return
        with self._writing():
            self._create_single_files(now)
            authority = self._load_authority()
            for algorithm in Algorithm:
                if algorithm in wanted - self._shared_algorithms():
                    self._write_token_key(authority, generate(algorithm), service=None, now=now)

    def create_token_key(
        self, algorithm: Algorithm, *, service: str | None, now: datetime, rsa_bits: int = 3072
    ) -> SigningKey:
        """Adds one more token key, for rotation or for a service's own key; what was there stays.

        Raises `ReadOnlyKeyFolderError` when the folder cannot be written.
        """
        with self._writing():
            authority = self._load_authority()
            return self._write_token_key(
                authority, generate(algorithm, rsa_bits=rsa_bits), service=service, now=now
            )

    def load(self) -> KeySet:
        """Reads everything; nothing is created. Private files that others could read, or own, are refused.

        A key whose certificate has run out, or is not its own, is loaded too: it may be long retired.
        INVARIANT: so the caller lets a key sign only after `selftest.check`.
        """
        authority = self._load_authority()
        token_keys = [self._load_token_key(stem, name) for stem, name in self._token_keys()]
        return KeySet(
            authority=authority,
            token_keys=tuple(sorted(token_keys, key=lambda key: (key.created_at, key.kid_id))),
            audit=self._load_audit_key(),
            digest=self._load_digest(),
        )

    def may_hold(self, id_: str) -> bool:
        """Say, by the names of the files alone, whether there may be a token key of this id."""
        return any(id_.startswith(name.kid_prefix) for _, name in self._token_keys())

    def _names(self) -> set[str]:
        try:
            return {path.name for path in self.path.iterdir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _token_keys(self) -> Iterator[tuple[str, TokenKeyName]]:
        for file_name in sorted(self._names()):
            if file_name.startswith("token-") and file_name.endswith(_KEY):
                stem = file_name.removesuffix(_KEY)
                if (name := TokenKeyName.parse(stem)) is None:
                    raise KeyFolderError(f"{self.path / file_name} is not named as a token key: move it away")
                yield stem, name

    def _shared_algorithms(self) -> set[Algorithm]:
        return {name.algorithm for _, name in self._token_keys() if name.service is None}

    def _is_complete(self, algorithms: set[Algorithm]) -> bool:
        return self._names() >= _SINGLE_FILES and self._shared_algorithms() >= algorithms

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Makes the folder if need be and holds its lock, which dies with the process, so that one creator is at work."""
        with contextlib.ExitStack() as stack:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                (self.path / _LOCK).touch(mode=PRIVATE)
                lock = stack.enter_context((self.path / _LOCK).open("ab"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                for leftover in self.path.glob(f"{TEMPORARY_PREFIX}*"):  # of a creator that was killed
                    leftover.unlink()
            except OSError as error:
                raise unwritable(self.path, error) from error
            yield

    def _create_single_files(self, now: datetime) -> None:
        present = self._names()
        if _CA_CERTIFICATE in present and _CA_KEY not in present:
            raise KeyFolderError(
                f"{self.path / _CA_KEY} is missing, though its certificate is there and registries may trust it:"
                " restore the key, or move the certificate away to begin a new authority"
            )
        if _CA_KEY not in present:
            write_new(self.path / _CA_KEY, _pem(generate_p256()))
        if _CA_CERTIFICATE not in present:
            authority = CertificateAuthority.self_signed(self._load_authority_key(), now=now)
            self._write_certificate(_CA_CERTIFICATE, authority.certificate)
        if _AUDIT_KEY not in present:
            write_new(self.path / _AUDIT_KEY, _pem(Ed25519PrivateKey.generate()))
        if _HMAC_KEY not in present:
            write_new(self.path / _HMAC_KEY, secrets.token_bytes(KEY_BYTES))

    def _write_token_key(
        self, authority: CertificateAuthority, private_key: PrivateKey, *, service: str | None, now: datetime
    ) -> SigningKey:
        kid = thumbprint(private_key.public_key())
        created_at = now.replace(microsecond=0)
        stem = str(TokenKeyName(algorithm_of(private_key), service, created_at, kid[:8]))
        certificate = authority.issue(private_key.public_key(), subject=kid, now=now)
        # The key last: its name is what makes the pair exist for `load`, which may run in another process meanwhile.
        self._write_certificate(stem + _CERTIFICATE, certificate)
        write_new(self.path / (stem + _KEY), _pem(private_key))
        return SigningKey(private_key, certificate, created_at, service)

    def _write_certificate(self, file_name: str, certificate: x509.Certificate) -> None:
        write_new(self.path / file_name, certificate.public_bytes(Encoding.PEM), mode=PUBLIC)

    def _load_authority(self) -> CertificateAuthority:
        private_key = self._load_authority_key()
        certificate = self._load_certificate(_CA_CERTIFICATE)
        if certificate.public_key() != private_key.public_key():
            raise KeyFolderError(
                f"{self.path / _CA_CERTIFICATE} does not belong to {_CA_KEY}: restore the pair"
            )
        return CertificateAuthority(private_key, certificate)

    def _load_token_key(self, stem: str, name: TokenKeyName) -> SigningKey:
        path = self.path / (stem + _KEY)
        private_key = _parse_private(path)
        if algorithm_of(private_key) is not name.algorithm:
            raise _other_kind(path)
        return SigningKey(
            private_key, self._load_certificate(stem + _CERTIFICATE), name.created_at, name.service
        )

    def _load_authority_key(self) -> EllipticCurvePrivateKey:
        private_key = _parse_private(self.path / _CA_KEY)
        if not isinstance(private_key, EllipticCurvePrivateKey):
            raise _other_kind(self.path / _CA_KEY)
        return private_key

    def _load_audit_key(self) -> AuditKey:
        private_key = _parse_private(self.path / _AUDIT_KEY)
        if not isinstance(private_key, Ed25519PrivateKey):
            raise _other_kind(self.path / _AUDIT_KEY)
        return AuditKey(private_key)

    def _load_certificate(self, file_name: str) -> x509.Certificate:
        path = self.path / file_name
        try:
            return x509.load_pem_x509_certificate(read_public(path))
        except ValueError as error:
            raise KeyFolderError(f"{path} is not a certificate in PEM: restore it") from error

    def _load_digest(self) -> SecretDigest:
        path = self.path / _HMAC_KEY
        try:
            return SecretDigest(read_private(path))
        except ValueError as error:
            raise KeyFolderError(f"{path}: {error}: restore it") from error


def _pem(private_key: PrivateKey) -> bytes:
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _parse_private(path: Path) -> PrivateKey:
    """The private key in `path`; the error does not chain the parser's, which may quote what it read."""
    try:
        return supported_private(load_pem_private_key(read_private(path), password=None))
    except UnsupportedKeyError as error:
        raise KeyFolderError(f"{path}: {error}: restore it") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFolderError(f"{path} is not an unencrypted private key in PEM: restore it") from None


def _other_kind(path: Path) -> KeyFolderError:
    return KeyFolderError(f"{path} holds a key of another kind than its name says: restore it")
