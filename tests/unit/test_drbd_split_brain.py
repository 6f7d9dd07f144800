"""Two sides beside each other: what is a split brain, what is none, and who has less to lose."""

import pytest

from drbdctl.cli import main
from drbdctl.cli import split_brain as verb
from drbdctl.failover.split_brain import Side, compared, conclusion, export, imported, proposal
from drbdctl.status.state import Unreadable

FLAGS = "1:1:0:0:0:0:0"


def side(node: str, current: str, bitmap: str, role: str = "Secondary", written: int | None = 100) -> Side:
    return Side(
        node=node,
        resource="r0",
        role=role,
        disks=("UpToDate",),
        connection="StandAlone",
        identifiers=f"{current * 16}:{bitmap * 16}:{'3' * 16}:{'0' * 16}:{FLAGS}\n",
        written=written,
        taken="2026-01-02T03:04:05+00:00",
    )


def test_it_travels_as_json():
    here = side("n1", "A", "B")
    assert imported(export(here)) == here


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "node": "n1"}'])
def test_what_is_no_export_is_refused_in_one_sentence(text: str):
    with pytest.raises(Unreadable, match="split-brain --export"):
        imported(text)


def test_both_have_written():
    here, there = side("n1", "A", "2", written=4096), side("n2", "C", "2", written=16)
    said = list(compared(here, there))
    assert any("both have written without each other" in each for each in said)
    assert any(each.startswith("n2 has less to lose: it wrote 16 KiB") for each in said)
    assert ["volume", "0", "current", "A" * 16, "C" * 16] in [each.split() for each in said]


def test_the_side_that_serves_is_kept_however_little_it_wrote():
    here, there = side("n1", "A", "2", role="Primary", written=1), side("n2", "C", "2", written=4096)
    assert proposal(here, there) is there


def test_without_figures_nothing_is_proposed():
    assert proposal(side("n1", "A", "2", written=None), side("n2", "C", "2")) is None


def test_what_is_no_split_brain_is_told():
    alike = list(conclusion(side("n1", "A", "0"), side("n2", "A", "0")))
    assert alike == ["both have the same current generation: this is no split brain; `drbdadm connect` on both"]
    one = list(conclusion(side("n1", "A", "2"), side("n2", "2", "0")))
    assert one[0].startswith("only n1 has written alone")


# --- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch):
    """This node's side; DRBD is not asked."""
    ours = side("n1", "A", "2", written=4096)
    monkeypatch.setattr(verb, "side", lambda resource: ours)
    return ours


def test_the_other_side_by_ssh(here, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    theirs.write_text(export(side("n2", "C", "2", written=16)))
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\n[ "$3" = "drbdctl split-brain r0 --export" ] && cat {theirs}\n')
    program.chmod(0o755)
    assert main(["split-brain", "r0", "--peer", "n2", "--ssh", str(program)]) == 0
    assert "n2 has less to lose: it wrote 16 KiB" in capsys.readouterr().out


def test_a_host_that_is_not_reached_is_one_line(here, tmp_path, capsys):
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'No route to host' >&2\nexit 255\n")
    program.chmod(0o755)
    assert main(["split-brain", "r0", "--peer", "n2", "--ssh", str(program)]) == 2
    said = "drbdctl split-brain: n2 is not reached by ssh: No route to host; `ssh n2 true` has to work as root\n"
    assert capsys.readouterr().err == said


def test_without_the_other_side_both_ways_are_told(here, capsys):
    assert main(["split-brain", "r0"]) == 1
    err = capsys.readouterr().err
    assert "--peer HOST" in err
    assert "`drbdctl split-brain r0 --export` there, and --peer-file here" in err
