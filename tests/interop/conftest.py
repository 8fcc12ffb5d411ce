"""One service and one registry a session, as an operator sets them up: an empty folder, `serve`, and a block to paste."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.interop.clients import Image, Skopeo, make_image
from tests.interop.commands import commands
from tests.interop.deployment import Account, Registry, Service
from tests.interop.programs import living, require
from tests.memory_folder import memory_folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the programs wrote with a test that fails."""
    report = yield
    if report.failed and "interop" in item.path.parts:
        report.sections += [
            (f"log of {program.name} ({program.folder})", program.log()) for program in living
        ]
    return report


@pytest.fixture(scope="session", autouse=True)
def _commands() -> Iterator[None]:
    """End what runs commands with the tests."""
    yield
    commands.close()


@pytest.fixture(scope="session")
def deployment_folder() -> Iterator[Path]:
    """A short path, as Unix sockets need one, outside of folders that only root enters."""
    with memory_folder("interop") as folder:
        yield folder


@pytest.fixture(scope="session")
def service(deployment_folder: Path) -> Iterator[Service]:
    """`authsvc serve`, started in an empty folder."""
    folder = deployment_folder / "authsvc"
    folder.mkdir()
    made = Service(folder)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def own_service() -> Iterator[Service]:
    """A service of this test alone, not started yet."""
    with memory_folder("interop-own") as folder:
        made = Service(folder)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="session")
def registry(deployment_folder: Path, service: Service) -> Iterator[Registry]:
    """CNCF Distribution with the block that `serve` printed."""
    require("docker-registry")
    folder = deployment_folder / "registry"
    folder.mkdir()
    made = Registry(folder, service.auth_block())
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def skopeo(registry: Registry, tmp_path: Path) -> Skopeo:
    """Skopeo of somebody who has not logged in."""
    require("skopeo")
    return Skopeo(tmp_path, registry)


@pytest.fixture(scope="session")
def acme(service: Service) -> dict[str, Account]:
    """The accounts of the private project `acme`, by role; `stranger` has none."""
    service.add_project("acme")
    members = {role: service.add_member("acme", role, role) for role in ("reader", "developer", "maintainer")}
    return {**members, "stranger": service.add_user("stranger")}


@pytest.fixture(scope="session")
def image(deployment_folder: Path) -> Image:
    """An image that nobody has pushed yet."""
    return make_image(deployment_folder, "image")


@pytest.fixture(scope="session")
def pushed(
    deployment_folder: Path, registry: Registry, acme: dict[str, Account], image: Image
) -> tuple[str, Image]:
    """`acme/app:1`, pushed by the developer."""
    require("skopeo")
    home = deployment_folder / "home"
    home.mkdir()
    Skopeo(home, registry).push(image, "acme/app", acme["developer"]).succeeded()
    return "acme/app", image
