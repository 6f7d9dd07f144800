"""The note about what is being done (rule 12): written before, found by the next process, and a reason not to begin."""

import json
from pathlib import Path

import pytest

from drbdctl.daemon.intent import Intent
from drbdctl.failover.plan import Demote, MountVolume, Promote
from tests.unit.drbd_seen import GROUP


def test_the_next_process_finds_what_was_begun(tmp_path: Path):
    before = Intent("S", tmp_path / "run")
    assert not before.ours
    before.write(Promote("r0"), "to serve: promote r0 (r0/0 A5A5:0)")
    before.write(MountVolume(GROUP.mounts[0]), "to serve: mount")
    after = Intent("S", tmp_path / "run")
    assert after.ours
    assert json.loads((tmp_path / "run" / "S.intent").read_text()) == {
        "step": "mount /dev/drbd0 on /mnt/data",
        "intent": "to serve: mount",
    }
    after.forget()
    assert not after.ours
    assert not Intent("S", tmp_path / "run").ours
    after.forget()  # twice is as good as once


def test_what_others_have_promoted_is_not_made_ours_by_giving_it_back(tmp_path: Path):
    intent = Intent("S", tmp_path)
    intent.write(Demote("r0"), "to give everything back")
    assert not intent.ours
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_the_reason_is_kept(tmp_path: Path):
    (tmp_path / "run").write_text("a file where the directory should be")
    intent = Intent("S", tmp_path / "run")
    with pytest.raises(OSError, match="File exists"):
        intent.write(Promote("r0"), "to serve")
    assert intent.problem.startswith(f"{tmp_path}/run/S.intent: ")
    (tmp_path / "run").unlink()
    intent.write(Promote("r0"), "to serve")
    assert intent.problem == "", "and it goes on once there is room"
