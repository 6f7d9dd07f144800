"""A node that has to go down: watchdog first, then sysrq; and what it says where neither is there."""

import logging
from pathlib import Path

import pytest

from drbdctl.steps import self_fence


@pytest.fixture
def machine(tmp_path: Path, monkeypatch, caplog):
    """Files in place of the kernel's."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(self_fence, "SYSRQ", tmp_path / "sysrq")
    monkeypatch.setattr(self_fence, "TRIGGER", tmp_path / "trigger")
    monkeypatch.setattr(self_fence, "WATCHDOGS", (str(tmp_path / "watchdog"),))
    return tmp_path


def test_sysrq_resets_it_now(machine: Path, caplog):
    self_fence.go_down("storage S: it can't let go")
    assert ((machine / "sysrq").read_text(), (machine / "trigger").read_text()) == ("1", "b")
    assert caplog.messages == ["storage S: it can't let go: this machine resets itself"]


def test_a_watchdog_is_armed_first_and_does_it_where_sysrq_can_t(machine: Path, monkeypatch, caplog):
    (machine / "watchdog").touch()
    monkeypatch.setattr(self_fence, "TRIGGER", machine / "nowhere" / "trigger")
    self_fence.go_down("S")
    assert caplog.messages[1] == (
        f"S: no sysrq (No such file or directory); {machine}/watchdog resets it within seconds"
    )


def test_where_neither_is_there_a_human_is_told_what_to_do(machine: Path, monkeypatch, caplog):
    monkeypatch.setattr(self_fence, "TRIGGER", machine / "nowhere" / "trigger")
    self_fence.go_down("S")
    assert caplog.messages[1].endswith("no watchdog, and no sysrq (No such file or directory); switch it off")
