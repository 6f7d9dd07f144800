"""Virtual machines for the tests: one image for all, new disks and a switch of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.vm.image import Image, Unavailable, image
from tests.vm.lab import Lab, pack
from tests.vm.machine import Machine

LONG = ("ledger", "self_fence", "storage_faults", "rehearsal", "nfs3", "fencing", "systemd", "backup", "scenario")
"the files that take longest come first, so that no worker is left alone with one in the end"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.vm)
        item.add_marker(pytest.mark.timeout(1800))
    if ours == items:
        order = {f"test_{name}": number for number, name in enumerate(LONG)}
        items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def vm_image() -> Image:
    try:
        return image()
    except Unavailable as reason:
        pytest.skip(f"virtual machines: {reason}")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project and what it imports, as a disk."""
    return pack(tmp_path_factory.mktemp("project") / "project.ext4")


@pytest.fixture
def networks() -> int:
    """How many networks the machines of a test are on."""
    return 1


@pytest.fixture
def lab(vm_image: Image, project: Path, networks: int) -> Iterator[Lab]:
    """No machines yet; those that are started in it are gone after the test."""
    with Lab(vm_image, project, networks=networks) as lab:
        yield lab


Start = Callable[..., Sequence[Machine]]


@pytest.fixture
def machines(lab: Lab) -> Start:
    """Start machines by name, all of which know each other."""
    return lab.start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    """With what the machines have said, while they are there."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and call.when != "teardown" and lab is not None:
        report.sections += [(name, said[-5000:]) for name, said in lab.told().items()]
    return report
