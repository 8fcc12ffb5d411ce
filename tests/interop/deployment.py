"""What an operator runs: `authsvc serve` on a Postgres of its own, and a CNCF Distribution registry that trusts it."""

import signal
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.commands import commands
from tests.interop.programs import AUTHSVC, Ended, Program, environment, free_port, run

Json = dict[str, Any]
Account = tuple[str, str]

_PUBLIC = ssl.create_default_context()
"""Made once, as reading the public authorities costs more than a request."""


def password_of(user: str) -> str:
    """Return the password that a test's user has."""
    return f"password-of-{user}"


@dataclass(slots=True)
class Service:
    """`authsvc` in a folder of its own, with the settings of one operator."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    trust: ssl.SSLContext = _PUBLIC
    first_password: str = field(default="", repr=False)
    _program: Program | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment of the service and of its commands."""
        return environment(self.folder, AUTHSVC_PORT=str(self.port), **self.settings)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if 'AUTHSVC_TLS_CERT_FILE' in self.settings else 'http'}://127.0.0.1:{self.port}"

    @property
    def program(self) -> Program:
        """The process of `serve`."""
        assert self._program is not None
        return self._program

    @property
    def printed(self) -> str:
        """What the last start printed."""
        return self.program.out.read_text(encoding="utf-8")

    def start(self) -> "Service":
        """Start it and wait until it says that it is ready; keeps the password that a first start prints."""
        self._program = Program.start([*AUTHSVC, "serve"], folder=self.folder, env=self.env, name="authsvc")
        self._program.await_ready(self._is_ready)
        _, found, rest = self.printed.partition("first administrator: admin, password: ")
        if found:
            self.first_password = rest.splitlines()[0]
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as a service manager does, or as a person, and return the exit code."""
        program, self._program = self.program, None
        return program.stop(number)

    def close(self) -> None:
        """Stop it if it runs."""
        if self._program is not None:
            self.stop()

    def command(self, *arguments: str, stdin: str = "") -> Ended:
        """Run `authsvc …` in the service's folder."""
        return commands.run(arguments, env=self.env, folder=self.folder, stdin=stdin)

    def try_to_serve(self) -> Ended:
        """Run `authsvc serve` to its end, where it is expected to refuse."""
        return run([*AUTHSVC, "serve"], env=self.env, folder=self.folder)

    def auth_block(self) -> str:
        """Return the registry configuration that the last start printed, as a person would copy it."""
        lines = self.printed.splitlines()
        begin = lines.index("auth:")
        return "\n".join([*lines[begin : lines.index("", begin)], ""])

    def administrator(self) -> Account:
        """Return the account that the first start made."""
        return "admin", self.first_password

    def api(
        self, method: str, path: str, body: Json | None = None, *, expect: int, by: Account | None = None
    ) -> Any:
        """Make one request under /api/v1, and return its JSON; None for an empty answer."""
        answer = httpx.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            auth=by or self.administrator(),
            verify=self.trust,
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == expect, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def add_user(self, name: str) -> Account:
        """Create a user, and return the account."""
        self.api("POST", "/users", {"name": name, "password": password_of(name)}, expect=201)
        return name, password_of(name)

    def add_project(self, name: str, visibility: str = "private") -> None:
        """Create a project."""
        self.api("POST", "/projects", {"name": name, "visibility": visibility}, expect=201)

    def bind(self, role: str, kind: str, name: str, project: str | None = None) -> None:
        """Bind a role on a project, or on the whole system."""
        path = "/bindings" if project is None else f"/projects/{project}/bindings"
        self.api("POST", path, {"role": role, "subject": {"kind": kind, "name": name}}, expect=201)

    def add_member(self, project: str, name: str, role: str) -> Account:
        """Create a user who has a role on a project."""
        account = self.add_user(name)
        self.bind(role, "user", name, project)
        return account

    def ask(self, method: str = "GET", *, by: Account | None = None, **options: Any) -> httpx.Response:
        """Make one request to the realm."""
        return httpx.request(
            method,
            f"{self.url}/token",
            auth=by,
            verify=self.trust,
            trust_env=False,
            timeout=30,
            **options,
        )

    def token(self, *scopes: str, by: Account | None = None, service: str) -> str:
        """Return a token, as clients that ask with GET get it."""
        answer = self.ask(params=[("service", service), *(("scope", scope) for scope in scopes)], by=by)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/readyz", verify=self.trust, trust_env=False, timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code == 200


@dataclass(slots=True)
class Registry:
    """`docker-registry` with the `auth:` block it is given; without one it asks nobody, and does not challenge."""

    folder: Path
    auth_block: str
    tls: tuple[Path, Path] | None = None
    trust: ssl.SSLContext = _PUBLIC
    challenges: bool = True
    port: int = field(default_factory=free_port)
    _program: Program | None = None

    @property
    def host(self) -> str:
        """What stands before the first slash of a reference."""
        return f"127.0.0.1:{self.port}"

    @property
    def service(self) -> str:
        """The name it is registered under."""
        return self.auth_block.partition("service: ")[2].splitlines()[0]

    @property
    def log(self) -> str:
        """All it wrote, access log included."""
        assert self._program is not None
        return self._program.log(most=10_000_000)

    def start(self) -> "Registry":
        """Start it and wait until it challenges."""
        tls = "" if self.tls is None else f"  tls:\n    certificate: {self.tls[0]}\n    key: {self.tls[1]}\n"
        configuration = self.folder / "config.yml"
        configuration.write_text(
            "version: 0.1\nlog:\n  level: error\n"
            f"storage:\n  filesystem:\n    rootdirectory: {self.folder}/storage\n  delete:\n    enabled: true\n"
            f"http:\n  addr: {self.host}\n  secret: of-the-test\n{tls}{self.auth_block}",
            encoding="utf-8",
        )
        self._program = Program.start(
            ["docker-registry", "serve", str(configuration)],
            folder=self.folder,
            env=environment(self.folder, OTEL_TRACES_EXPORTER="none"),
            name="registry",
        )
        self._program.await_ready(self._answers)
        return self

    def close(self) -> None:
        """Stop it."""
        if self._program is not None:
            self._program.stop()

    def request(self, method: str, path: str, *, token: str = "", **options: Any) -> httpx.Response:
        """Make one request under /v2 with a bearer token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        scheme = "http" if self.tls is None else "https"
        return httpx.request(
            method,
            f"{scheme}://{self.host}/v2{path}",
            headers={**headers, **options.pop("headers", {})},
            verify=self.trust,
            trust_env=False,
            timeout=30,
            **options,
        )

    def _answers(self) -> bool:
        try:
            answer = self.request("GET", "/")
        except httpx.TransportError:
            return False
        if answer.status_code != (401 if self.challenges else 200):
            pytest.fail(f"the registry answered {answer.status_code} without a token")
        return True
