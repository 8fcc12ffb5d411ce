"""What a request presents to say who it is, parsed but not believed."""

from dataclasses import dataclass, field

from authsvc.core.credential import CredentialKind


@dataclass(frozen=True, slots=True)
class NothingPresented:
    """No credentials: the request is anonymous."""


@dataclass(frozen=True, slots=True)
class NameAndSecret:
    """A name with a password or a machine credential, from Basic or a password grant."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BareSecret:
    """A machine credential that comes without a name: a refresh grant, or a Bearer; `kinds` are those that may come so here."""

    secret: str = field(repr=False)
    kinds: frozenset[CredentialKind]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something was presented that cannot be read; it is refused, never taken for anonymous (token-protocol A3.55, 60)."""


Presented = NothingPresented | NameAndSecret | BareSecret | Unreadable
