"""The arrows of the house: who may import whom, and what the core must never see."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRBDCTL_FACTS = {"drbdctl.status", "drbdctl.failover", "drbdctl.drbd_conf", "drbdctl.settings"}
ALLOWED = {
    "pyvrrp.core": {"pyvrrp.core"},
    "pyvrrp.config": {"pyvrrp.core", "pyvrrp.config"},
    "pyvrrp.host": {"pyvrrp.core", "pyvrrp.config", "pyvrrp.host"},
    "pyvrrp.daemon": {"pyvrrp.core", "pyvrrp.config", "pyvrrp.host", "pyvrrp.daemon"},
    "pyvrrp.demo": {"pyvrrp.demo"},
    "pyvrrp.cli": {"pyvrrp.core", "pyvrrp.config", "pyvrrp.host", "pyvrrp.daemon", "pyvrrp.demo", "pyvrrp.cli"},
    "dnslb.cli": {"dnslb", "pyvrrp.core", "pyvrrp.config", "pyvrrp.daemon.run_directory", "pyvrrp.cli"},
    "dnslb": {"dnslb", "pyvrrp.core", "pyvrrp.config", "pyvrrp.daemon.plugins"},
    "drbdctl.cli": {
        *("drbdctl", "pyvrrp.core", "pyvrrp.config", "pyvrrp.daemon.plugins", "pyvrrp.daemon.run_directory"),
        "pyvrrp.cli",
    },
    "drbdctl.status": {"drbdctl.status", "drbdctl.drbd_conf", "pyvrrp.core", "pyvrrp.config"},
    "drbdctl.failover": {"drbdctl.failover", "drbdctl.status", "drbdctl.drbd_conf", "pyvrrp.core"},
    "drbdctl.steps": {*DRBDCTL_FACTS, "drbdctl.steps", "drbdctl.backup.holder", "pyvrrp.core", "pyvrrp.config"},
    "drbdctl": {"drbdctl", "pyvrrp.core", "pyvrrp.config", "pyvrrp.daemon.plugins"},
}
IMPURE = {"asyncio", "logging", "random", "select", "selectors", "socket", "ssl", "subprocess", "threading", "time"}


def modules() -> list:
    return list(_modules())


def _modules():
    for package in ("pyvrrp", "dnslb", "drbdctl"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield pytest.param(name, path, id=name)


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("name", "path"), modules())
def test_imports_run_one_way(name, path):
    room = next((room for room in ALLOWED if name == room or name.startswith(f"{room}.")), None)
    if room is None:
        assert name in ("pyvrrp", "pyvrrp.__main__")
        return
    for imported in imports(path):
        if imported.partition(".")[0] in ("pyvrrp", "dnslb", "drbdctl") and imported not in (
            "pyvrrp",
            "pyvrrp.__version__",
        ):
            assert any(f"{imported}.".startswith(f"{allowed}.") for allowed in ALLOWED[room]), (
                f"{name} may not import {imported}"
            )


@pytest.mark.parametrize(
    ("name", "path"), [m for m in modules() if m.values[0].startswith(("pyvrrp.core", "drbdctl.failover"))]
)
def test_the_core_is_pure(name, path):
    for imported in imports(path):
        top = imported.partition(".")[0]
        assert top in sys.stdlib_module_names or top in ("pyvrrp", "drbdctl"), f"{name} imports {imported}"
        assert top not in IMPURE, f"{name} imports {imported}"


def test_the_daemon_never_imports_scapy_or_rich():
    for parameter in modules():
        name, path = parameter.values
        if not name.startswith("pyvrrp.cli"):
            assert not {each.partition(".")[0] for each in imports(path)} & {"scapy", "rich"}, name


def test_modules_stay_small():
    sizes = {
        p.values[0]: len(p.values[1].read_text().splitlines()) for p in modules() if p.values[1].stat().st_size > 200
    }
    assert sorted(sizes.values())[len(sizes) // 2] <= 160
    assert {name: size for name, size in sizes.items() if size > 400} == {}
