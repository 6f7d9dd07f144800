"""Who holds a file system, with real processes on a real one (a tmpfs: it has a device number, and no device)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drbdctl.steps.holders import Kind, holders, mounts


@pytest.fixture
def place(tmp_path: Path):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def held(place: Path) -> set[str]:
    number = os.stat(place).st_dev
    return {each.sentence for each in holders((os.major(number), os.minor(number)))}


def test_nobody(place: Path) -> None:
    assert held(place) == set()
    (mount,) = [each for each in mounts() if each.point == str(place)]
    assert (mount.file_system, "rw" in mount.options) == ("tmpfs", True)


def test_an_open_file_a_mapped_one_and_a_working_directory_are_named(place: Path) -> None:
    (place / "log file").write_text("x" * 4096)
    script = "import mmap, sys\nf = open(sys.argv[1], 'r+b')\nm = mmap.mmap(f.fileno(), 0)"
    script += "\nf.close()\nprint(flush=True)\ninput()"
    mapping = subprocess.Popen(
        [sys.executable, "-c", script, place / "log file"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    inside = subprocess.Popen(["sleep", "60"], cwd=place)
    with open(place / "log file", "rb"):
        assert mapping.stdout is not None
        mapping.stdout.readline()
        found = held(place)
    mapping.kill()
    inside.kill()
    own = Path("/proc/self/comm").read_text().strip()
    assert f"process {os.getpid()} ({own}): open file {place}/log file" in found
    assert f"process {inside.pid} (sleep): working directory {place}" in found
    assert any(each.startswith(f"process {mapping.pid} ") and f"mapped file {place}/log file" in each for each in found)
    assert {int(each.split()[1]) for each in found} == {os.getpid(), inside.pid, mapping.pid}


def test_a_mount_in_another_namespace_is_named_with_its_process(place: Path) -> None:
    other = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", "echo; exec sleep 60"], stdout=-1
    )
    assert other.stdout is not None
    other.stdout.readline()
    number = os.stat(place).st_dev
    found = holders((os.major(number), os.minor(number)))
    other.kill()
    assert [(each.kind, each.what) for each in found] == [(Kind.MOUNT, f"{place} of its own mount namespace")]
    assert found[0].pid == other.pid
