"""A real registry that reports, configured as the README says: what it sends is in the log, covered by grants or found."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.clients import Image, Skopeo, make_image
from tests.interop.deployment import Account, Registry, Service
from tests.interop.programs import require, wait_until

README = Path(__file__).parents[2] / "README.md"
Json = dict[str, Any]


def notifications_block(url: str, secret: str) -> str:
    """Return the README's block with this service's address and secret, as an operator would fill it in."""
    (block,) = re.findall(r"```yaml\n(notifications:\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert "http://127.0.0.1:5001/" in block
    assert "ats_r…" in block
    return str(block).replace("http://127.0.0.1:5001", url).replace("ats_r…", secret)


@dataclass(frozen=True)
class Reporting:
    """A service and a registry of its own that reports to it."""

    service: Service
    registry: Registry
    developer: Account

    def events(self, **query: str) -> list[Json]:
        """Return what the log has of registries, oldest first."""
        path = httpx.URL("/audit", params={"order": "oldest", "limit": "200", **query})
        return list(self.service.api("GET", str(path), expect=200)["items"])

    def reported(self, kind: str, repository: str) -> list[Json]:
        """Return what was reported of a repository."""
        return [event["reported"] for event in self.events(kind=f"registry.{kind}", repository=repository)]

    def await_reports(self, kind: str, repository: str, least: int) -> None:
        """Wait for reports, which the registry sends after its answers."""
        wait_until(lambda: len(self.reported(kind, repository)) >= least, f"{least} {kind} of {repository}")

    def findings(self) -> list[Json]:
        """Return what reconciliation has found, newest first."""
        return list(self.service.api("GET", "/findings?limit=200", expect=200)["items"])


@pytest.fixture(scope="module")
def reporting(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Reporting]:
    """Set up a second registry of the session's service, as the README says."""
    require("docker-registry", "skopeo")
    service.add_project("reports")
    developer = service.add_member("reports", "reports-maintainer", "maintainer")
    service.api("POST", "/robots", {"name": "registry"}, expect=201)
    subject = {"kind": "robot", "name": "system+registry"}
    binding = {"role": "reporter", "subject": subject, "services": ["registry.localhost"]}
    service.api("POST", "/bindings", binding, expect=201)
    made = service.api("POST", "/robots/registry/secrets", {"label": "notifications"}, expect=201)
    block = notifications_block(service.url, made["secret"])
    registry = Registry(tmp_path_factory.mktemp("reporting"), service.auth_block() + block)
    try:
        yield Reporting(service, registry.start(), developer)
    finally:
        registry.close()


@pytest.fixture
def skopeo(reporting: Reporting, tmp_path: Path) -> Skopeo:
    """Skopeo for that registry."""
    return Skopeo(tmp_path, reporting.registry)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An image of these tests."""
    return make_image(tmp_path_factory.mktemp("image"), "reported")


def test_a_push_and_a_pull_are_in_the_log(reporting: Reporting, skopeo: Skopeo, image: Image) -> None:
    """Who pushed and pulled which digest, layers included, is in the log as the registry saw it."""
    skopeo.push(image, "reports/app", reporting.developer).succeeded()
    skopeo.pull("reports/app", reporting.developer).succeeded()
    for kind in ("push", "pull"):
        reporting.await_reports(kind, "reports/app", 3)
        reported = reporting.reported(kind, "reports/app")
        assert {each["actor"] for each in reported} == {"reports-maintainer"}
        assert {image.digest, image.layer} <= {each["digest"] for each in reported}
        (manifest,) = [each for each in reported if each["digest"] == image.digest]
        assert manifest["tag"] == "1"
        assert manifest["agent"].startswith("skopeo/")
        assert {each["method"] for each in reported} <= {"GET", "PUT"}
    ids = [event["reported"]["id"] for event in reporting.events(kind="registry.*")]
    assert len(ids) == len(set(ids))


def test_a_mount_and_a_delete_are_in_the_log(reporting: Reporting, skopeo: Skopeo) -> None:
    """A mount names both repositories, and is found under both; a delete is reported too."""
    image = make_image(skopeo.home, "mounted")
    skopeo.push(image, "reports/from", reporting.developer).succeeded()
    token = reporting.service.token(
        "repository:reports/from:pull",
        "repository:reports/to:pull,push",
        by=reporting.developer,
        service=reporting.registry.service,
    )
    path = f"/reports/to/blobs/uploads/?mount={image.layer}&from=reports/from"
    assert reporting.registry.request("POST", path, token=token).status_code == 201
    skopeo.delete("reports/from", reporting.developer).succeeded()
    for kind, repository in (("mount", "reports/from"), ("mount", "reports/to"), ("delete", "reports/from")):
        reporting.await_reports(kind, repository, 1)
    assert reporting.reported("mount", "reports/to")[0]["from"] == "reports/from"


def test_what_is_covered_is_no_finding_and_what_is_not_is(
    reporting: Reporting, skopeo: Skopeo, image: Image, tmp_path: Path
) -> None:
    """Operations with our tokens are covered; those of the same registry without its authorization are found, each of them."""
    skopeo.push(image, "reports/covered", reporting.developer).succeeded()
    reporting.await_reports("push", "reports/covered", 2)  # and a layer that skopeo mounted
    block = reporting.registry.auth_block.partition("notifications:")
    open_registry = Registry(tmp_path, "".join(block[1:]), challenges=False)
    try:
        open_registry.start()
        Skopeo(skopeo.home, open_registry).push(image, "reports/open", None).succeeded()
        reporting.await_reports("push", "reports/open", 3)
    finally:
        open_registry.close()
    wait_until(lambda: len(reporting.findings()) >= 3, "a round of reconciliation", seconds=150)
    findings = reporting.findings()
    assert {finding["event"]["reported"]["repository"] for finding in findings} == {"reports/open"}
    assert {finding["kind"] for finding in findings} == {"uncovered"}
    assert len(findings) == len(reporting.events(kind="registry.*", repository="reports/open"))
    shown = reporting.service.command("audit", "findings", "--kind", "uncovered").succeeded().out
    assert "nobody push reports/open" in shown
    metrics = httpx.get(f"{reporting.service.url}/metrics", trust_env=False).text
    assert 'authsvc_registry_heard_time_seconds{service="registry.localhost"}' in metrics
    assert f'authsvc_operations_total{{grant="uncovered"}} {len(findings)}.0' in metrics
    assert reporting.service.command("audit", "verify").succeeded().out.startswith("proved")
