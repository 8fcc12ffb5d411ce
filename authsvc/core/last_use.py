"""When something was last used: of users, robots and machine credentials, for who looks after them; nothing is decided by it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LastUse:
    """The last time that an access token was issued to something, or that it was let in to administer, and its address."""

    at: datetime
    address: str | None
