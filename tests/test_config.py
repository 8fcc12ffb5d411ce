import re
from pathlib import Path

import pytest

from authsvc.config import Settings, read_settings
from authsvc.core.errors import StartupError

# DESIGN 10, "Settings".
DOCUMENTED = (
    "DATABASE_URL", "OWNER_DATABASE_URL", "DATA_DIR", "KEYS_DIR", "HOST", "PORT", "TLS_CERT_FILE", "TLS_KEY_FILE", "WORKERS",
    "PUBLIC_URL", "ISSUER", "SERVICES", "BOOTSTRAP_ADMIN_USERNAME", "BOOTSTRAP_ADMIN_PASSWORD", "TRUSTED_PROXIES",
    "TOKEN_TTL_SECONDS", "AUDIT_RETENTION_DAYS",
)  # fmt: skip
SECRETS = ("DATABASE_URL", "OWNER_DATABASE_URL", "BOOTSTRAP_ADMIN_PASSWORD")
URL = "postgresql://app:s3cret-a@db/authsvc"
OWNER_URL = "postgresql://owner:s3cret-b@db/authsvc"
GIVEN = {
    "DATABASE_URL": URL, "OWNER_DATABASE_URL": OWNER_URL, "DATA_DIR": "/d", "KEYS_DIR": "/k", "HOST": "::1", "PORT": "443",
    "TLS_CERT_FILE": "/c", "TLS_KEY_FILE": "/p", "WORKERS": "4", "PUBLIC_URL": "https://auth.example/x/", "ISSUER": "me",
    "SERVICES": "a, b:5000 ,c", "BOOTSTRAP_ADMIN_USERNAME": "root", "BOOTSTRAP_ADMIN_PASSWORD": "s3cret-c",
    "TRUSTED_PROXIES": "10.0.0.0/8,2001:db8::/32", "TOKEN_TTL_SECONDS": "60", "AUDIT_RETENTION_DAYS": "184",
}  # fmt: skip


def read(**variables: str) -> Settings:
    """Read settings named without their prefix, beside variables of others."""
    named = {f"AUTHSVC_{name}": value for name, value in variables.items()}
    return read_settings({"PATH": "/bin", "AUTHSVCX": "not ours", **named})


def faults_of(**variables: str) -> list[str]:
    """Return the lines of what is refused."""
    with pytest.raises(StartupError) as caught:
        read(**variables)
    return str(caught.value).splitlines()


def test_the_settings_are_the_documented_ones() -> None:
    """No setting is undocumented, and none of those documented is missing."""
    assert sorted(name.upper() for name in Settings.model_fields) == sorted(DOCUMENTED)


def test_every_setting_is_read() -> None:
    """Each documented variable changes the setting of its name, from its default to what it says."""
    settings, default = read(**GIVEN), read()
    assert set(GIVEN) == set(DOCUMENTED)
    for name in Settings.model_fields:
        assert getattr(settings, name) != getattr(default, name), name
    assert settings.services == ["a", "b:5000", "c"]
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "2001:db8::/32"]
    assert settings.realm == "https://auth.example/x/token"
    assert settings.keys_path == Path("/k")
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == URL


def test_nothing_has_to_be_set() -> None:
    """The defaults are those of the contract, and safe: this host only, no proxy is trusted, an embedded database."""
    default = read()
    assert (default.host, default.port) == ("127.0.0.1", 5001)
    assert (default.issuer, default.services) == ("authsvc", ["registry.localhost"])
    assert (default.trusted_proxies, default.is_embedded, default.audit_retention_days) == ([], True, 400)
    assert default.realm == "http://127.0.0.1:5001/token"
    assert read(HOST="::1", TLS_CERT_FILE="c", TLS_KEY_FILE="k").realm == "https://[::1]:5001/token"


def test_an_empty_variable_is_none() -> None:
    """Compose files set variables to nothing; that is as good as not setting them."""
    assert read(**dict.fromkeys(DOCUMENTED, "")) == read()


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_read_from_its_file(name: str, tmp_path: Path) -> None:
    """`*_FILE` names the secret's file; its last newline is not part of it; both at once are refused, and so is no file."""
    file = tmp_path / "secret"
    file.write_text(GIVEN[name] + "\n")
    beside = {"DATABASE_URL": URL} if name == "OWNER_DATABASE_URL" else {}
    settings = read(**{f"{name}_FILE": str(file)}, **beside)
    assert getattr(settings, name.lower()).get_secret_value() == GIVEN[name]
    [both] = faults_of(**{**beside, name: GIVEN[name], f"{name}_FILE": str(file)})
    assert both.startswith(f"AUTHSVC_{name}: ")
    for path in (tmp_path / "absent", tmp_path):
        assert f"AUTHSVC_{name}_FILE: cannot be read" in faults_of(**{f"{name}_FILE": str(path)})[0]
    file.write_bytes(b"\xff\xfe")
    assert "cannot be read" in faults_of(**{f"{name}_FILE": str(file)})[0]


def test_only_secrets_have_files() -> None:
    """`PORT_FILE` is no setting; `TLS_CERT_FILE` is one, and is not read as a secret's."""
    assert faults_of(PORT_FILE="/x") == [
        "AUTHSVC_PORT_FILE: there is no such setting; the README, 'Settings', has all"
    ]
    assert read(TLS_CERT_FILE="/absent", TLS_KEY_FILE="/absent").tls_cert_file == Path("/absent")


def test_all_faults_are_told_at_once() -> None:
    """Every wrong variable has its line, typing errors too."""
    faults = faults_of(
        PORT="0", WORKERS="many", TRUSTED_PROXY="10.0.0.0/8", TOKEN_TTL_SECONDS="59", DATABASE_URL="mysql://x",
        DATABASE_URL_FIL="x",
    )  # fmt: skip
    named = {fault.partition(":")[0].removeprefix("AUTHSVC_") for fault in faults}
    assert named == {
        "PORT",
        "WORKERS",
        "TRUSTED_PROXY",
        "TOKEN_TTL_SECONDS",
        "DATABASE_URL",
        "DATABASE_URL_FIL",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://u:s3cret@h/d"), ("DATABASE_URL", "s3cret"), ("BOOTSTRAP_ADMIN_PASSWORD", "s3cret"),
        ("BOOTSTRAP_ADMIN_PASSWORD", "s3cret" * 300), ("PUBLIC_URL", "https://u:s3cret@host"), ("PUBLIC_URL", "ftp://s3cret"),
        ("PUBLIC_URL", "https://u:s3cret\u2100@host"), ("PUBLIC_URL", "https://[s3cret]/"), ("PUBLIC_URL", "s3cret"),
        ("PUBLIC_URL", "https://h/?s3cret"), ("PUBLIC_URL", "https://h/#s3cret"), ("PORT", "s3cret"), ("PORT", "65536"),
        ("WORKERS", "0"), ("WORKERS", "65"), ("SERVICES", ","), ("SERVICES", "a,s3cret\u00e9"), ("ISSUER", "x" * 256),
        ("BOOTSTRAP_ADMIN_USERNAME", "a s3cret"), ("BOOTSTRAP_ADMIN_USERNAME", "a+b"), ("TRUSTED_PROXIES", "s3cret"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"), ("TOKEN_TTL_SECONDS", "86401"), ("TOKEN_TTL_SECONDS", "60.5"),
        ("AUDIT_RETENTION_DAYS", "183"), ("AUDIT_RETENTION_DAYS", "0"), ("AUDIT_RETENTION_DAYS", "-1"),
        ("AUDIT_RETENTION_DAYS", "s3cret"), ("TLS_CERT_FILE", "s3cret"), ("TLS_KEY_FILE", "s3cret"),
        ("OWNER_DATABASE_URL", "postgresql://u:s3cret@h/d"), ("S3CRETS", "s3cret"),
    ],
)  # fmt: skip
def test_a_fault_names_its_variable_and_never_its_value(name: str, value: str) -> None:
    """What is refused is refused by name; a value is not quoted, as it may be a secret in the wrong place."""
    text = "\n".join(faults_of(**{name: value}))
    assert name in text
    assert "s3cret" not in text


def test_a_list_and_a_secret_are_faulted_in_words() -> None:
    """What is wrong is one line with the variable's own name, and says what it must be."""
    assert faults_of(TRUSTED_PROXIES="10.0.0.1/8", BOOTSTRAP_ADMIN_PASSWORD="short") == [
        "AUTHSVC_BOOTSTRAP_ADMIN_PASSWORD: must have 8 to 1024 characters",
        "AUTHSVC_TRUSTED_PROXIES: must be address ranges, as 10.0.0.0/8, with no bits set behind their lengths",
    ]


def test_what_kubernetes_says_of_a_service_is_no_setting() -> None:
    """A Service called authsvc puts addresses into every container, AUTHSVC_PORT among them: they are passed over."""
    links = {
        "SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "443", "SERVICE_PORT_HTTPS": "443", "PORT": "tcp://10.0.0.1:443",
        "PORT_443_TCP": "tcp://10.0.0.1:443", "PORT_443_TCP_PROTO": "tcp", "PORT_443_TCP_PORT": "443",
        "PORT_443_TCP_ADDR": "10.0.0.1",
    }  # fmt: skip
    assert read(**links) == read()


def test_settings_print_without_secrets() -> None:
    """Neither repr nor str of the settings holds a password."""
    settings = read(**GIVEN)
    assert not re.search("s3cret", f"{settings!r} {settings} {settings.model_dump()}")


def test_a_typing_error_is_told_what_was_meant() -> None:
    """A name that is nearly a setting's is refused with that setting's name."""
    (fault,) = faults_of(TRUSTED_PROXY="10.0.0.0/8")
    assert fault == "AUTHSVC_TRUSTED_PROXY: there is no such setting; did you mean AUTHSVC_TRUSTED_PROXIES?"
