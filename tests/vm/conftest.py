"""Virtual machines for the tests: one image for all, new disks and a switch of its own for each test."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.vm.image import Image, Unavailable, image
from tests.vm.machine import Machine, kill_all, project_disk
from tests.vm.switch import Switch

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("pyroute2", "dnspython", "cryptography", "cffi", "uvloop")
"what pyvrrp imports, as this Python has it; the machines' is 3.11"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def vm_image() -> Image:
    try:
        return image()
    except Unavailable as reason:
        pytest.skip(f"virtual machines: {reason}")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project and what it imports, as a disk."""
    return project_disk(tmp_path_factory.mktemp("project") / "project.ext4", list(_site()), ROOT)


def _site() -> Iterator[Path]:
    for name in (*DISTRIBUTIONS, "pyvrrp"):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in sorted(tops):
            if not top.endswith(".pth"):
                yield Path(str(distribution.locate_file(top)))


Start = Callable[..., Sequence[Machine]]


@pytest.fixture
def machines(vm_image: Image, project: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start machines by name, all of which know each other; they are gone after the test."""
    started: list[Machine] = []
    # Not pytest's directory: the path of a UNIX socket is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="vm-") as directory:
        switch = Switch(Path(directory))

        def start(*names: str, systemd: bool = False, memory: int = 256) -> Sequence[Machine]:
            for number, name in enumerate(names, len(started) + 1):
                machine = Machine(name, number, Path(directory), vm_image, switch, project=project)
                machine.systemd, machine.memory = systemd, memory
                started.append(machine)
            hosts = {each.name: each.address for each in started}
            for machine in started[-len(names) :]:
                machine.hosts = hosts
                machine.start()
            for machine in started[-len(names) :]:
                machine.wait()
            return started[-len(names) :]

        start.switch = switch  # type: ignore[attr-defined]
        yield start
        request.node.consoles = [(each.name, each.console.read_text(errors="replace")) for each in started]
        kill_all(started)
        switch.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    report = yield
    if report.failed and call.when == "teardown":
        for name, console in getattr(item, "consoles", ()):
            report.sections.append((f"console of {name}", console[-5000:]))
    return report
