"""What operations work with: one frozen value, built in `wiring` only, with the clock, ids and all else that varies."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from authsvc.adapters.kept_checkpoints import KeptCheckpoints
from authsvc.adapters.keys.digest import SecretDigest
from authsvc.adapters.keys.ring import KeyRing
from authsvc.adapters.passwords import PasswordHasher
from authsvc.adapters.postgres.custody import Custody
from authsvc.adapters.postgres.database import Database
from authsvc.adapters.postgres.journal import Journal
from authsvc.adapters.postgres.memory import PolicyMemory
from authsvc.operations.note_use import LastUses
from authsvc.operations.remember import Remembered
from authsvc.operations.remember_prepared import PreparedRequests
from authsvc.operations.share_anonymous import SharedTokens
from authsvc.operations.throttle import Throttle
from authsvc.operations.verify_password import PasswordChecks


@dataclass(frozen=True, slots=True)
class Deps:
    """See the module. `new_id` gives 16 characters a-z2-7, `new_nonce` 8, `new_secret` 40 base-62 characters, all random."""

    database: Database
    memory: PolicyMemory
    journal: Journal
    custody: Custody
    kept: KeptCheckpoints
    keys: KeyRing
    digest: SecretDigest
    hasher: PasswordHasher
    common_passwords: frozenset[str]
    signing_threads: ThreadPoolExecutor
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    new_nonce: Callable[[], str]
    new_secret: Callable[[], str]
    issuer: str
    token_ttl_seconds: int
    retention_days: int
    free_disk: Callable[[], int] | None
    """Tells the free bytes on the disk of the embedded database; None when the database is elsewhere."""
    clock_tolerance: timedelta | None
    """How far our clock and the database's may differ before nothing is signed; None where a test's clock stands still."""
    throttle: Throttle = field(default_factory=Throttle)
    right_passwords: Remembered = field(default_factory=Remembered)
    wrong_passwords: Remembered = field(default_factory=Remembered)
    password_checks: PasswordChecks = field(default_factory=PasswordChecks)
    prepared: PreparedRequests = field(default_factory=PreparedRequests)
    shared: SharedTokens = field(default_factory=SharedTokens)
    last_uses: LastUses = field(default_factory=LastUses)
