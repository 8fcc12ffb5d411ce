"""Settings: read once from `AUTHSVC_*`, every secret also from the file that `AUTHSVC_*_FILE` names, all faults told at once."""

import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from authsvc.core.errors import StartupError
from authsvc.core.names import describe_bad_service_name, describe_bad_user_name
from authsvc.core.password import MAX_PASSWORD, MIN_PASSWORD

PREFIX = "AUTHSVC_"
MIN_RETENTION_DAYS = 184
MAX_SECRET_FILE = 64 * 1024
_FILE = "_FILE"
_LINK = re.compile(r"AUTHSVC_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)", re.ASCII)
"""What Kubernetes puts into every container beside a Service that is called authsvc; its AUTHSVC_PORT is an address."""
_LINKED_PORT = "tcp://"
_SECRETS = ("DATABASE_URL", "OWNER_DATABASE_URL", "BOOTSTRAP_ADMIN_PASSWORD")


def _split(value: Any) -> Any:
    """Return the parts of a comma-separated text, without white space around them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _read_networks(value: object) -> object:
    """Return the address ranges of a comma-separated text; an address alone is one."""
    try:
        return [ip_network(part) for part in _split(value)] if isinstance(value, str) else value
    except ValueError:  # its text quotes the value
        raise ValueError(
            "must be address ranges, as 10.0.0.0/8, with no bits set behind their lengths"
        ) from None


def _check_length(value: SecretStr) -> SecretStr:
    if not MIN_PASSWORD <= len(value) <= MAX_PASSWORD:
        raise ValueError(f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return value


def _check_public_url(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:  # its text quotes the value
        raise ValueError("is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an absolute http or https URL, as https://auth.example.com")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError(
            "must have no query, fragment or credentials: some clients mishandle them in a realm"
        )
    return value.rstrip("/")


def _check_database_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("postgresql://"):
        raise ValueError("must be a postgresql:// URL")
    return value


def _check_service(value: str) -> str:
    if fault := describe_bad_service_name(value):
        raise ValueError(fault)
    return value


def _check_user(value: str) -> str:
    if fault := describe_bad_user_name(value):
        raise ValueError(fault)
    return value


Service = Annotated[str, AfterValidator(_check_service)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_check_database_url)]


class Settings(BaseModel):
    """Everything that can be set; the README explains each, and a test compares the two."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: DatabaseUrl | None = None
    owner_database_url: DatabaseUrl | None = None
    data_dir: Path = Path("data")
    keys_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=5001, ge=1, le=65535)
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    workers: int = Field(default=1, ge=1, le=64)
    public_url: Annotated[str, AfterValidator(_check_public_url)] | None = None
    issuer: str = Field(default="authsvc", min_length=1, max_length=255)
    services: Annotated[list[Service], BeforeValidator(_split)] = Field(
        default=["registry.localhost"], min_length=1
    )
    bootstrap_admin_username: Annotated[str, AfterValidator(_check_user)] = "admin"
    bootstrap_admin_password: Annotated[SecretStr, AfterValidator(_check_length)] | None = None
    trusted_proxies: Annotated[list[IPv4Network | IPv6Network], BeforeValidator(_read_networks)] = []
    token_ttl_seconds: int = Field(default=300, ge=60, le=86_400)
    audit_retention_days: int = Field(default=400, ge=MIN_RETENTION_DAYS)

    @model_validator(mode="after")
    def _check_pairs(self) -> "Settings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE must be set together")
        if self.owner_database_url is not None and self.database_url is None:
            raise ValueError("OWNER_DATABASE_URL is set without DATABASE_URL, the application role's")
        return self

    @property
    def keys_path(self) -> Path:
        """Return where keys are: KEYS_DIR, or `keys` inside the data."""
        return self.keys_dir or self.data_dir / "keys"

    @property
    def base_url(self) -> str:
        """Return what clients reach: PUBLIC_URL, or the address that is listened on."""
        scheme = "http" if self.tls_cert_file is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"{scheme}://{host}:{self.port}"

    @property
    def realm(self) -> str:
        """Return the URL of the token endpoint, as registries are told it."""
        return f"{self.base_url}/token"

    @property
    def is_embedded(self) -> bool:
        """Say whether the service runs its own Postgres."""
        return self.database_url is None


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of `environment` (default: the process's).

    Raises StartupError with one line for each fault; a value is never quoted, as it may be a secret.
    """
    given = os.environ if environment is None else environment  # noqa: TID251 - the one place that reads it
    variables = {name: value for name, value in given.items() if not _is_link(name, value)}
    faults = [*_unknown(variables), *_read_files(variables)]
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }
    known = {name: value for name, value in values.items() if name in Settings.model_fields and value != ""}
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        faults += [_describe(fault) for fault in error.errors(include_url=False, include_context=False)]
    else:
        if not faults:
            return settings
    raise StartupError("\n".join(faults))


def _is_link(name: str, value: str) -> bool:
    return _LINK.fullmatch(name) is not None or (name == f"{PREFIX}PORT" and value.startswith(_LINKED_PORT))


def _unknown(variables: Mapping[str, str]) -> list[str]:
    """Return a fault for each variable that looks like a setting and is none: a typing error must not lower a guard."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {f"{PREFIX}{name}{_FILE}" for name in _SECRETS}
    strangers = sorted(name for name in variables if name.startswith(PREFIX) and name not in known)
    return [f"{name}: there is no such setting{_nearest_to(name, known)}" for name in strangers]


def _nearest_to(name: str, known: Collection[str]) -> str:
    names = {each.removeprefix(PREFIX): each for each in known}
    nearest = get_close_matches(name.removeprefix(PREFIX), names, n=1, cutoff=0.8)
    return f"; did you mean {names[nearest[0]]}?" if nearest else "; the README, 'Settings', has all"


def _read_files(variables: dict[str, str]) -> list[str]:
    """Put the content of each secret's file in the secret's place, without its last newline; return the faults."""
    faults = []
    for name in _SECRETS:
        variable, path = f"{PREFIX}{name}", variables.get(f"{PREFIX}{name}{_FILE}")
        if not path:
            continue
        if variables.get(variable):
            faults.append(f"{variable}: is set, and {variable}{_FILE} too; keep one")
            continue
        try:
            with Path(path).open(encoding="utf-8") as file:
                variables[variable] = file.read(MAX_SECRET_FILE).removesuffix("\n")
        except (OSError, UnicodeDecodeError):
            faults.append(f"{variable}{_FILE}: cannot be read; give the path of a text file")
    return faults


def _describe(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"]).upper()
    what = str(fault["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{place}: {what}" if place else what
