"""Giving back what a dead process held: the order, the commands, and what the log says of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyvrrp.daemon import take_down as module
from pyvrrp.daemon.journal import Entry, Held, Journal
from pyvrrp.daemon.take_down import give_up, take_down

NOWHERE = Held(  # 192.0.2.100/32 from interface 2147483000: RTM_DELADDR with NLM_F_ACK
    address="192.0.2.100/32",
    device="eth9",
    delete="280000001500050001000000000000000220000078fcff7f08000200c00002640800010" + "0c0000264",
)


def entry(*undo, name="GATED", **more):
    return Entry(router=name, name=name, state="MASTER", serving=True, undo=tuple(tuple(argv) for argv in undo), **more)


def test_commands_run_in_order_and_each_is_told(tmp_path):
    log = tmp_path / "log"
    lines = list(
        take_down(
            [
                entry(
                    ["sh", "-c", f"echo one >> {log}"],
                    ["sh", "-c", f"echo two >> {log}; echo busy >&2; exit 3"],
                    ["/nowhere/umount", "/data dir"],
                    ["sh", "-c", f"echo three >> {log}"],
                )
            ],
            goodbye=True,
        )
    )
    assert log.read_text() == "one\ntwo\nthree\n"
    assert lines[0].endswith(": ok")
    assert lines[1].endswith(": exit status 3: busy")
    assert lines[2] == "GATED: undo: `/nowhere/umount '/data dir'` can't be run: No such file or directory"
    assert lines[3].endswith(": ok")


def test_a_command_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(module, "UNDO_TIMEOUT", 0.1)
    assert list(take_down([entry(["sleep", "60"])], goodbye=False)) == ["GATED: undo: `sleep 60` killed after 0.1 s"]


def test_an_address_that_is_gone_already_is_not_worth_a_word():
    assert list(take_down([entry(addresses=(NOWHERE,))], goodbye=False)) in (
        [],
        ["GATED: can't remove 192.0.2.100/32 from eth9: Operation not permitted"],  # without root
    )


def test_giving_up_forgets_everything(tmp_path):
    journal = Journal.open(tmp_path / "journal")
    journal.note(entry(["touch", str(tmp_path / "undone")]))
    give_up(tmp_path / "journal")
    assert [each.name for each in tmp_path.iterdir()] == ["undone"]
    give_up(tmp_path / "journal")


def test_giving_up_ends_services_too_after_the_addresses(tmp_path):
    order = tmp_path / "order"
    journal = Journal.open(tmp_path / "journal")
    journal.note_service("dnslb", (("sh", "-c", f"echo service >> {order}"),))
    journal.note(entry(["sh", "-c", f"echo gates >> {order}"]))
    give_up(tmp_path / "journal")
    assert order.read_text() == "gates\nservice\n"


@pytest.mark.parametrize("module_name", ["pyvrrp.daemon.take_down", "pyvrrp.daemon.guard"])
def test_the_guard_and_its_helpers_need_the_standard_library_only(module_name):
    """They run with -S: there are no site-packages."""
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.append({str(root)!r}); import {module_name}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
