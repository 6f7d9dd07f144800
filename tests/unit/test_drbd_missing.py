"""What is not there on a machine is one sentence with what to do: on the command line, and in the daemon's log."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from drbdctl.cli import main
from drbdctl.daemon import peer_watch, self_check
from drbdctl.daemon.eyes import Eyes
from drbdctl.daemon.peer_watch import PeerWatch
from drbdctl.daemon.runner import StorageRunner
from drbdctl.failover.group import Group, GroupResource, Mount, Service
from drbdctl.settings import Export, Nfs, Storage
from drbdctl.status import ask
from drbdctl.status.drivers import misfit, utilities
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import until

NFS = Nfs(
    state_dir="/mnt/data/.nfs",
    exports=(Export(directory="/mnt/data", clients=("*",), options=("rw",), fsid="1", mount_point="/mnt/data"),),
    scope="storage",
)
STORAGE = Storage(
    group=Group(
        name="S",
        resources=(GroupResource(name="r0"),),
        mounts=(Mount("/dev/drbd0", "/mnt/data"),),
        services=(Service("nfs"),),
    ),
    instance="VI",
    services=(NFS,),
)
VERSION = "DRBDADM_VERSION_CODE=0x{:06x}\nDRBDADM_VERSION=9.22.0\n"


def answers(**said: tuple[int, str]):
    """A `run` that answers by the second word of the command, or the first."""

    async def run(argv, deadline):
        status, output = said.get(
            argv[1].strip("-").replace("-", "_"), said.get(argv[0], (0, VERSION.format(0x091600)))
        )
        return Outcome(argv=tuple(argv), status=status, output=output, seconds=0.0)

    return run


def checked(monkeypatch, installed=lambda program: True, module=b"", **said: tuple[int, str]) -> list[str]:
    monkeypatch.setattr(self_check.shutil, "which", lambda program, path: "/usr/sbin/x" if installed(program) else None)
    monkeypatch.setattr(self_check, "_module", lambda: module)
    return list(map(str, asyncio.run(self_check.self_check(STORAGE, answers(**said)))))


def test_where_all_is_there_nothing_is_said(monkeypatch):
    assert checked(monkeypatch) == []


def test_drbd_utils_are_missing(monkeypatch):
    said = checked(monkeypatch, lambda program: not program.startswith("drbd"))
    assert said == ["drbdadm, drbdsetup: not installed; install drbd-utils (rule 24)"]


def test_the_nfs_server_is_missing(monkeypatch):
    monkeypatch.setattr(self_check, "_file_systems", list)
    nfs = ("exportfs", "rpc.mountd", "rpc.nfsd", "nfsdcld")
    assert checked(monkeypatch, lambda program: program not in nfs, modprobe=(1, ""), dry_run=(1, "")) == [
        "exportfs, rpc.mountd, rpc.nfsd, nfsdcld: not installed; install nfs-kernel-server (rule 24)",
        "nfs: this kernel has no NFS server; install a kernel with the module nfsd (rule 24)",
    ]


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "sh: 1: modinfo: not found\nr0.res:5: Parse error: a syncer option keyword expected, but got 'rate'\n",
            "r0.res:5: Parse error: a syncer option keyword expected, but got 'rate'; "
            "`drbdctl convert --to 9` writes it in today's syntax (rule 24)",
        ),
        (
            "'r0' not defined in your config (for this host).\n",
            "'r0' not defined in your config (for this host); `drbdctl check` says what to mend (rule 24)",
        ),
        ("", "it does not say why; `drbdctl check` says what to mend (rule 24)"),
    ],
)
def test_a_configuration_that_drbdadm_does_not_read(monkeypatch, output, sentence):
    assert checked(monkeypatch, dump=(10, output)) == [f"r0: drbdadm can't read its configuration: {sentence}"]


def test_on_a_machine_that_is_too_busy_to_answer_nothing_is_found(monkeypatch):
    monkeypatch.setattr(self_check, "_file_systems", list)
    assert checked(monkeypatch, dump=(None, ""), dry_run=(None, "")) == []


@pytest.mark.parametrize(
    ("module", "code", "why"),
    [
        ("8.4.11", 0x091600, ""),
        ("9.2.4", 0x091600, ""),
        ("9.2.4", 0x08090B, "drbd-utils 8.9.11 can't drive DRBD 9.2.4, the kernel's module"),
        ("", 0x08090B, ""),
    ],
)
def test_tools_and_module_that_do_not_fit(module, code, why):
    said = VERSION.format(code)
    assert utilities(said) == (code >> 16, code >> 8 & 255, code & 255)
    assert misfit(module, said) == why


def test_tools_that_say_no_version_are_no_misfit():
    assert (utilities("drbdadm: not found"), misfit("9.2.4", "")) == (None, "")


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    """A machine without DRBD's module, and a storage block for it."""
    monkeypatch.setattr(ask, "PROC", str(tmp_path / "proc-drbd"))
    monkeypatch.setattr("drbdctl.daemon.world.ask.node_status.__defaults__", (str(tmp_path / "proc-drbd"), ask.CONFIG))
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing is installed either
    monkeypatch.setattr(self_check.shutil, "which", lambda program, path: None)
    (tmp_path / "drbd.conf").write_text(
        f"resource r0 {{ device /dev/drbd0; disk /dev/sdb1; meta-disk internal;\n"
        f"on {os.uname().nodename} {{ address 127.0.0.1:7789; }} on other {{ address 192.0.2.2:7789; }} }}\n"
    )
    file = tmp_path / "keepalived.conf"
    file.write_text(
        "vrrp_instance VI {\n state BACKUP\n interface lo\n virtual_router_id 51\n priority 100\n nopreempt\n"
        " virtual_ipaddress {\n 192.0.2.100/24\n }\n track_storage {\n S\n }\n}\n"
        f"storage S {{\n vrrp_instance VI\n drbd_conf {tmp_path / 'drbd.conf'}\n drbd_resource r0\n"
        f" mount /dev/drbd0 {tmp_path / 'mnt'} {{ fstype ext4 }}\n}}\n"
    )
    return file


@pytest.mark.parametrize("verb", [("plan", "promote"), ("why",), ("promote",)])
def test_each_thing_that_is_missing_is_a_sentence(here, capsys, verb, monkeypatch):
    monkeypatch.setattr("drbdctl.cli.why.ask", _nobody)
    monkeypatch.setattr("drbdctl.cli.plan.ask", _nobody)
    monkeypatch.setattr("drbdctl.steps.transaction.LOCKS", here.parent)
    assert main([*verb, "-f", str(here)]) == 1
    out, err = capsys.readouterr()
    said = [line.partition("refused: ")[2] for line in (out + err).splitlines() if "refused: " in line]
    assert said == [
        "r0: it is not up on this node; `modprobe drbd; drbdadm up r0` (rule 9)",
        f"{here.parent / 'mnt'}: there is no such directory to mount /dev/drbd0 on; `mkdir -p {here.parent / 'mnt'}` "
        "(rule 10)",
        "drbdadm, drbdsetup: not installed; install drbd-utils (rule 24)",
        "setpriv: not installed; install util-linux (rule 24)",
        "mount, umount: not installed; install mount (rule 24)",
    ]
    assert "demote" not in out + err, "what was never begun is not undone"


def _nobody(*_):
    from drbdctl.cli.daemon import Unanswered

    raise Unanswered(3, "pyvrrp is not running")


def test_what_is_not_up_needs_no_demotion(here, capsys):
    assert main(["plan", "demote", "-f", str(here)]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_without_a_block_the_way_to_one_is_told(tmp_path, capsys):
    file = tmp_path / "keepalived.conf"
    file.write_text("vrrp_instance VI {\n interface lo\n virtual_router_id 1\n}\n")
    assert main(["plan", "promote", "-f", str(file)]) == 2
    assert f"`drbdctl adopt -f {file}` writes one" in capsys.readouterr().err


# --- the daemon's log ------------------------------------------------------------------------------------------------


def test_the_daemon_says_so_when_it_starts(here, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(peer_watch, "PROC", str(here.parent / "proc-drbd"))

    async def work() -> None:
        runner = StorageRunner(STORAGE, ())
        monkeypatch.setattr(runner, "_prepare", lambda: asyncio.sleep(0))
        runner.start()

        def found() -> bool:
            rules = {each.rule for each in runner.machine.fitness.faults} if runner.machine.fitness else set()
            return rules >= {9, 24} and "not followed" in caplog.text

        assert await until(found, 20.0)
        await runner.stop()

    asyncio.run(work())
    said = [record.getMessage() for record in caplog.records]
    assert (
        "storage S: it could not be promoted here: drbdadm, drbdsetup: not installed; install drbd-utils (rule 24)"
        in said
    )
    assert f"what DRBD does is not followed: {ask.NOT_LOADED}" in said


def test_what_is_missing_is_told_once(monkeypatch):
    eyes = Eyes(STORAGE, PeerWatch((), (), 3.0, lambda: None), answers(dump=(10, "no such file")))
    monkeypatch.setattr(self_check.shutil, "which", lambda program, path: "/x")
    assert len(asyncio.run(eyes.check())) == 1
    assert asyncio.run(eyes.check()) == []
