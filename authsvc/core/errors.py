"""What can go wrong, by cause. Faces map each cause to their protocol once; refusals of access are values, not errors."""

from dataclasses import dataclass


class AuthsvcError(Exception):
    """The root of every error that authsvc raises on purpose; its text is one line without secrets."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input: where (a JSON pointer, or a parameter's name) and what."""

    where: str
    what: str


class InvalidInputError(AuthsvcError):
    """The request cannot be understood or breaks a stated bound; nothing was changed."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.where}: {fault.what}" for fault in faults))
        self.faults = faults


class UnknownServiceError(AuthsvcError):
    """The token request names no registered service."""


class UnauthenticatedError(AuthsvcError):
    """Credentials are missing, or were refused; which of the two, and why, is never said."""


class ForbiddenError(AuthsvcError):
    """The principal is known, may see the thing, and may not do this to it."""


class NotFoundError(AuthsvcError):
    """The thing does not exist, or the principal may not know that it does."""


class ConflictError(AuthsvcError):
    """The change contradicts what is stored: a name is taken, a guard holds, something still refers to it."""


class StaleVersionError(AuthsvcError):
    """`If-Match` names another version than the stored one."""


class ThrottledError(AuthsvcError):
    """Too many attempts; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many requests: wait, then try again")
        self.retry_after = retry_after


class UnavailableError(AuthsvcError):
    """Something that a decision needs cannot be reached, or did not answer in time; no token was issued."""

    def __init__(self, why: str, *, retry_after: int = 2) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class StartupError(AuthsvcError):
    """The service refuses to start; the text is one line that says what to do."""
