"""What is said about a storage block on the machine that it is to run on: rule 25, and what else would hurt."""

from dataclasses import replace
from pathlib import Path

import pytest

from drbdctl.failover.group import Group, GroupResource, Mount, Policy, Service, Takeover
from drbdctl.plugin import DrbdPlugin
from drbdctl.settings import Export, Nfs, Program, Storage, Unit
from drbdctl.storage_block import checks
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load_text

INSTANCE = """
vrrp_instance VI {
    state BACKUP
    interface lo
    virtual_router_id 51
    nopreempt
    virtual_ipaddress { 192.0.2.100 }
    track_storage { S }
}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch) -> Path:
    """One on which all is well."""
    monkeypatch.setattr(checks, "_FSTAB", str(tmp_path / "fstab"))
    monkeypatch.setattr(checks, "_MULTIPATHD", tmp_path / "multipathd.pid")
    monkeypatch.setattr(checks, "_MULTIPATH", tmp_path / "multipath.conf")
    monkeypatch.setattr(checks, "enabled_units", lambda command="systemctl", units=(): ())
    (tmp_path / "data").mkdir()
    (tmp_path / "drbd.conf").write_text(drbd("after-sb-1pri consensus;"))
    return tmp_path


def drbd(net: str, startup: str = "") -> str:
    return (
        f"resource r0 {{ net {{ protocol C; {net} }} {startup} device /dev/drbd0; disk /dev/sdb1; meta-disk internal;\n"
        " on a { address 192.0.2.1:7789; } on b { address 192.0.2.2:7789; } }\n"
    )


def storage(machine: Path, **members) -> Storage:
    group = Group(
        name="S",
        resources=(GroupResource(name="r0"),),
        mounts=(Mount("/dev/drbd0", str(machine / "data")),),
        services=(Service("db"),),
    )
    services = (Program(name="db", start=("/bin/true",), stop=("/bin/true",), check=("/bin/true",)),)
    usual = {"group": group, "instance": "VI", "services": services, "drbd_conf": str(machine / "drbd.conf")}
    return Storage(**{**usual, **members})


def said(*storages: Storage, instance: str = INSTANCE) -> dict[str, str]:
    diagnostics = Diagnostics()
    loaded = load_text(instance, name="k.conf")
    checks.check(storages, loaded.config, diagnostics)
    return {each.code: f"{each.message}; {each.hint}" for each in diagnostics}


def test_nothing_where_all_is_well(machine):
    plain = INSTANCE.replace("    track_storage { S }\n", "")
    assert said(storage(machine), instance=plain).keys() == {"untracked-storage"}


@pytest.mark.parametrize(
    ("before", "after", "code", "told"),
    [
        ("nopreempt", "", "preempts", "a node that comes back moves the storage once more; write 'nopreempt'"),
        ("", "", "untracked-storage", "the loss of its disk would not move the address; write 'track_storage { S }'"),
    ],
)
def test_the_instance_it_follows(machine, before, after, code, told):
    assert told in said(storage(machine), instance=INSTANCE.replace(before, after))[code]


LINK = """
vrrp_instance LINK {
    interface lo
    virtual_router_id 52
    no_virtual_ipaddress
    %s
}
"""


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("track_storage_role {\n S\n }", None),
        ("track_storage_role {\n S weight 20\n }", None),
        ("", "after a move the node that serves is not heard there; write 'track_storage_role { S }' in it"),
        ("track_storage_role {\n S weight 0\n }", "vrrp_instance LINK does not follow it"),
        ("nopreempt\n track_storage_role {\n S\n }", "it stays where it was; remove its nopreempt"),
    ],
)
def test_a_network_on_which_who_serves_is_heard(machine, lines, told):
    diagnostics = Diagnostics()
    loaded = load_text(INSTANCE + LINK % lines, name="k.conf", plugins=[DrbdPlugin()])
    checks.check([storage(machine, networks=("LINK",))], loaded.config, diagnostics)
    found = [f"{each.message}; {each.hint}" for each in diagnostics if each.code == "network-does-not-follow"]
    assert len(found) == (told is not None)
    assert all(told in each for each in found)


def test_a_script_that_drives_drbd_beside_it(machine):
    script = machine / "master.sh"
    script.write_text("#!/bin/sh\ndrbdadm primary all\n")
    instance = INSTANCE.replace("nopreempt", f'nopreempt\n    notify_master "{script}"')
    assert (
        "remove it: the storage block does this" in said(storage(machine), instance=instance)["script-beside-storage"]
    )


def test_a_mount_point_that_is_not_there(machine):
    (machine / "data").rmdir()
    assert said(storage(machine))["no-mount-point"].endswith(f"mkdir -p {machine / 'data'}")


@pytest.mark.parametrize(("options", "expected"), [("defaults", True), ("noauto,noatime", False)])
def test_a_volume_that_fstab_mounts_at_boot(machine, options, expected):
    (machine / "fstab").write_text(f"# comment\n/dev/drbd0 {machine / 'data'} ext4 {options} 0 2\n")
    assert ("mounted-at-boot" in said(storage(machine))) is expected


def test_what_starts_at_boot_by_itself(machine, monkeypatch):
    enabled = {"drbd.service", "nfs-server.service", "db.service"}
    monkeypatch.setattr(
        checks,
        "enabled_units",
        lambda command="systemctl", units=("drbd.service", "nfs-server.service"): tuple(enabled & set(units)),
    )
    assert "systemctl disable drbd.service" in said(storage(machine))["unit-enabled"]
    monkeypatch.setattr(checks, "enabled_units", lambda command="systemctl", units=(): tuple(enabled & set(units)))
    unit = storage(machine, services=(Unit(name="db.service"),))
    assert "db.service is enabled at boot, before its storage is there" in said(unit)["unit-enabled"]


def test_multipathd_that_would_hold_the_device(machine):
    (machine / "multipathd.pid").touch()
    assert 'blacklist { devnode "^drbd" }' in said(storage(machine))["multipath-takes-drbd"]
    (machine / "multipath.conf").write_text('blacklist {\n devnode "^drbd[0-9]"\n}\n')
    assert "multipath-takes-drbd" not in said(storage(machine))


def test_a_program_that_can_t_be_run(machine):
    broken = storage(machine, services=(Program(name="db", start=("/nonexistent",), stop=("/bin/true",)),))
    assert "command db: /nonexistent is no program that can be run" in said(broken)["not-executable"]


def test_an_fsid_of_another_block(machine):
    export = Export(directory="/a", clients=("*",), options=("rw",), fsid="1", mount_point="/a")
    nfs = Nfs(state_dir="/a/.nfs", exports=(export,), scope="s")
    one, other = (
        storage(machine, services=(each,)) for each in (nfs, replace(nfs, exports=(replace(export, directory="/b"),)))
    )
    assert "fsid 1 of /b is that of /a already" in said(one, other)["duplicate-fsid"]


@pytest.mark.parametrize(
    ("net", "startup", "code"),
    [
        ("after-sb-1pri discard-secondary;", "", "wild-split-brain-policy"),
        ("after-sb-1pri consensus;", "startup { become-primary-on a; }", "become-primary-on"),
    ],
)
def test_a_drbd_conf_that_works_against_it(machine, net, startup, code):
    (machine / "drbd.conf").write_text(drbd(net, startup))
    assert code in said(storage(machine))


def test_a_takeover_by_silence_on_one_network(machine):
    group = replace(storage(machine).group, policy=Policy(takeover=Takeover.AVAILABILITY_FIRST))
    told = said(storage(machine, group=group))["unsafe-storage"]
    assert "a cut of that network makes two Primaries" in told
    assert "unsafe-storage" not in said(storage(machine, group=group, networks=("LINK",)))
