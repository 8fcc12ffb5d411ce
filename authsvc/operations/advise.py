"""Advice on what clients and registries make of the realm and of services' profiles (token-protocol 15, 16, B2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from authsvc.core.service import Algorithm, HeaderProfile, Service


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what there is to know or to do."""

    about: str
    state: State
    what: str


def advise_on_realm(realm: str) -> list[Finding]:
    """Return what clients make of the realm's URL (token-protocol 15, 16)."""
    parts = urlsplit(realm)
    host = parts.hostname or ""
    try:
        is_inner = not ip_address(host).is_global
    except ValueError:
        is_inner = host == "localhost"
    if parts.query:
        return [Finding("realm", State.FAIL, f"{realm} has a query, which some clients drop: take it out")]
    if is_inner:
        return [
            Finding(
                "realm",
                State.WARN,
                f"{realm} is an inner address: crane, oras and others refuse it unless the registry has the same; set"
                " AUTHSVC_PUBLIC_URL to a name",
            )
        ]
    if parts.scheme != "https":
        return [
            Finding(
                "realm",
                State.WARN,
                f"{realm} is not https: clients send passwords to it; see AUTHSVC_TLS_CERT_FILE",
            )
        ]
    return [Finding("realm", State.OK, realm)]


def advise_on_services(profiles: Sequence[Service]) -> list[Finding]:
    """Return what would not work with the registry that a profile is for: zot and Pulp hold one key, Notary a prefix."""
    found = []
    for profile in profiles:
        advice = []
        if profile.header is HeaderProfile.LIBTRUST_KID and profile.algorithm is Algorithm.EDDSA:
            advice.append("libtrust knows no Ed25519: set algorithm to ES256 or RS256")
        if profile.own_key and profile.backdate_seconds == 0:
            advice.append("zot and Pulp allow no leeway of clocks: set backdate_seconds to 10")
        if profile.name_prefix and profile.isolated:
            advice.append(
                "Docker hands Notary the registry's refresh token, which an isolated service refuses: set isolated to false"
            )
        if profile.name_prefix and not profile.name_prefix.endswith("/"):
            advice.append("the prefix of Notary's names ends with '/': registry.example.com/")
        state = State.WARN if advice else State.OK
        found.append(
            Finding(
                f"service {profile.name}",
                state,
                "; ".join(advice) or f"{profile.algorithm}, {profile.header}",
            )
        )
    return found
