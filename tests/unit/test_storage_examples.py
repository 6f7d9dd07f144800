"""The complete files of examples/drbd-*: read as on the nodes they are for, nothing is to be said against them."""

import os
import re
from pathlib import Path

import pytest

from drbdctl.drbd_conf import load as load_drbd
from drbdctl.drbd_conf.lint import lint
from drbdctl.plugin import DrbdPlugin
from drbdctl.settings import Nfs, Program, Storage, Unit
from drbdctl.storage_block import reader
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load

ROOT = Path(__file__).parents[2]
NODES = [("drbd-nfs", "nfs1"), ("drbd-nfs", "nfs2"), ("drbd-mariadb", "db1"), ("drbd-mariadb", "db2")]
HERE = ("no-mount-point", "not-executable", "unit-enabled", "unknown-interface", "no-interface")
"what depends on the machine that the test runs on"


def read(path: Path, host: str, monkeypatch) -> tuple[list[Storage], Diagnostics]:
    """As `pyvrrp check` on that host reads it, with the resource of the example."""
    resource = path.parent / "r0.res"
    monkeypatch.setattr(os, "uname", lambda: type("Uname", (), {"nodename": host}))
    monkeypatch.setattr(reader, "_load", lambda _: load_drbd(str(resource)).config)
    plugin = DrbdPlugin()
    loaded = load(str(path), plugins=[plugin])
    plugin.configure(loaded.config, loaded.diagnostics)
    return plugin.storages(loaded.config, Diagnostics()), loaded.diagnostics


@pytest.mark.parametrize(("example", "host"), NODES)
def test_a_node_s_file_is_without_findings(example, host, monkeypatch):
    storages, diagnostics = read(ROOT / "examples" / example / f"{host}.conf", host, monkeypatch)
    assert len(storages) == 1
    assert [str(each) for each in diagnostics if each.code not in (*HERE, "nopreempt")] == []
    assert list(storages[0].group.problems(1 + len(storages[0].networks))) == []


@pytest.mark.parametrize("example", ["drbd-nfs", "drbd-mariadb"])
def test_the_resource_is_without_errors_and_careful(example):
    loaded = load_drbd(str(ROOT / "examples" / example / "r0.res"))
    lint(loaded.config, loaded.diagnostics)
    assert {each.code for each in loaded.diagnostics} <= {"no-fencing", "no-split-brain-handler"}


@pytest.mark.parametrize(("example", "one", "other"), [("drbd-nfs", "nfs1", "nfs2"), ("drbd-mariadb", "db1", "db2")])
def test_the_nodes_differ_in_name_and_priority_only(example, one, other):
    lines = [(ROOT / "examples" / example / f"{each}.conf").read_text().splitlines() for each in (one, other)]
    different = [(a.split(), b.split()) for a, b in zip(*lines, strict=True) if a != b and not a.startswith("#")]
    assert (["router_id", one], ["router_id", other]) in different
    assert {a[0] for a, _ in different} == {"router_id", "priority"}


@pytest.mark.parametrize("example", ["drbd-nfs", "drbd-mariadb"])
def test_the_readme_names_every_file(example):
    directory = ROOT / "examples" / example
    readme = (directory / "README.md").read_text()
    files = {each.name for each in directory.iterdir()} - {"README.md"}
    assert [name for name in sorted(files) if f"`{name}`" not in readme] == []


README = (ROOT / "examples/drbd-mariadb/README.md").read_text()
VARIANTS = dict(
    zip(
        ("postgresql", "samba", "iscsi"),
        re.findall(r"^```\n(    .*?)^```", README, re.DOTALL | re.MULTILINE),
        strict=True,
    )
)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_variant_for_another_service_can_be_read(variant, tmp_path, monkeypatch):
    whole = (ROOT / "examples/drbd-mariadb/db1.conf").read_text()
    start, end = whole.index("    mount /dev"), whole.index("    takeover")
    (tmp_path / "r0.res").write_text((ROOT / "examples/drbd-mariadb/r0.res").read_text())
    file = tmp_path / "keepalived.conf"
    rest = "".join(line for line in whole[end:].splitlines(True) if "deadlines" not in line)
    file.write_text(whole[:start] + variant + rest)
    storages, diagnostics = read(file, "db1", monkeypatch)
    assert [str(each) for each in diagnostics if each.code not in (*HERE, "nopreempt")] == []
    assert storages[0].services
    assert all(isinstance(each, Nfs | Unit | Program) for each in storages[0].services)
