"""A lab for every test, and the daemons' logs when one fails.

`pytest -n 4 tests/lab` runs them side by side: they mostly wait, and no lab knows of another.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_nodes import Node, Segment

from pyvrrp.demo.lab import Lab
from pyvrrp.demo.namespaces import available


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.lab)
        if not available():
            item.add_marker(pytest.mark.skip(reason="network namespaces need root, or `unshare -Urnm`"))
        elif "keepalived" in item.path.name and shutil.which("keepalived") is None:
            item.add_marker(pytest.mark.skip(reason="needs the real keepalived (apt install keepalived)"))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(f"test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as lab:
        yield lab


@pytest.fixture
def segment(lab: Lab) -> Segment:
    return Segment(lab.capture())


@pytest.fixture
def pair(lab: Lab, ways: tuple[str, str]) -> tuple[Node, Node]:
    """Two nodes on one segment, n1 (.11) and n2 (.12), of the kinds that the test's parameter `ways` names."""
    return (
        Node(lab, ways[0], "n1", "192.0.2.11/24", "2001:db8::11/64"),
        Node(lab, ways[1], "n2", "192.0.2.12/24", "2001:db8::12/64"),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and call.when == "call" and lab is not None:
        for log in sorted(lab.directory.glob("*/*log")):
            report.sections.append((f"log of {log.parent.name}", log.read_text(errors="replace")[-20000:]))
    return report
