"""Pid files and the run directory: one daemon per file, stale ones replaced, nobody else's removed."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyvrrp.daemon import pidfile
from pyvrrp.daemon.pidfile import AlreadyRunning, PidFile
from pyvrrp.daemon.run_directory import Unusable, control_socket, default_run_directory, pid_files, prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pyvrrp.pid"


def holder(path):
    """Another process that holds the file."""
    program = (
        "import sys; from pathlib import Path; from pyvrrp.daemon.pidfile import PidFile;"
        "PidFile(Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_it_holds_the_pid_as_keepalived_writes_it_until_released(path):
    pid_file = PidFile(path)
    pid_file.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.filemode(path.stat().st_mode) == "-rw-r--r--"
    pid_file.release()
    assert not path.exists()
    pid_file.release()


def test_a_second_daemon_is_refused_and_told_the_pid_of_the_first(path):
    with holder(path) as first:
        with pytest.raises(AlreadyRunning) as refused:
            PidFile(path).acquire()
        assert refused.value.pid == first.pid
        assert str(refused.value).startswith(
            f"pyvrrp is already running (pid {first.pid}, {path}); stop that one first"
        )
        assert path.read_text() == f"{first.pid}\n"
        first.stdin.close()


def test_the_file_of_a_killed_daemon_is_taken_over(path):
    with holder(path) as first:
        first.send_signal(signal.SIGKILL)
    assert path.exists()
    PidFile(path).acquire()
    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("left", ["", "nonsense\n", "1\n", "4194304\n", "-1\n", "9" * 40])
def test_whatever_number_was_left_there_does_not_keep_a_daemon_from_starting(path, left):
    """Number 1 lives, and is not ours: after a crash the number may have been given to anybody."""
    path.write_text(left)
    PidFile(path).acquire()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_running_keepalived_counts_although_it_does_not_lock(path, tmp_path):
    shutil.copy(shutil.which("sleep"), tmp_path / "keepalived")
    with subprocess.Popen([tmp_path / "keepalived", "60"]) as process:
        try:
            while Path(f"/proc/{process.pid}/comm").read_text() != "keepalived\n":
                time.sleep(0.001)  # the kernel sets it a moment after Popen has returned
            path.write_text(f"{process.pid}\n")
            with pytest.raises(AlreadyRunning, match=rf"^keepalived is already running \(pid {process.pid}, "):
                PidFile(path).acquire()
        finally:
            process.kill()
    PidFile(path).acquire()


def test_a_file_that_became_another_daemons_is_not_removed(path):
    pid_file = PidFile(path)
    pid_file.acquire()
    path.unlink()
    path.write_text("4711\n")
    pid_file.release()
    assert path.read_text() == "4711\n"


def test_a_child_that_inherited_it_does_not_remove_it(path):
    pid_file = PidFile(path)
    pid_file.acquire()
    if (child := os.fork()) == 0:
        pid_file.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_refused_start_leaves_no_descriptor(path):
    with holder(path) as first:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(AlreadyRunning):
                PidFile(path).acquire()
        assert len(os.listdir("/proc/self/fd")) == before
        first.stdin.close()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "Too many levels of symbolic links"),
        (lambda path: os.mkfifo(path), "not a regular file"),
    ],
    ids=["directory", "symbolic link", "fifo"],
)
def test_what_is_no_regular_file_is_refused_in_one_line(path, make, reason):
    make(path)
    with pytest.raises(Unusable, match=f"pid file {path}: {reason}; name another one with --pid-file"):
        PidFile(path).acquire()


def test_a_directory_that_is_missing_is_refused_in_one_line(tmp_path):
    with pytest.raises(Unusable, match=r"none/x.pid: No such file or directory; name another one with --pid-file"):
        PidFile(tmp_path / "none" / "x.pid").acquire()


# --- names and directories -------------------------------------------------------------------------------------------


def test_keepalived_s_names_in_its_form_and_our_own_otherwise(tmp_path):
    assert pid_files(tmp_path, keepalived_form=True) == (Path("/run/keepalived.pid"), Path("/run/keepalived_vrrp.pid"))
    assert pid_files(tmp_path, "blue", keepalived_form=True)[1] == Path("/run/keepalived_vrrp_blue.pid")
    assert pid_files(tmp_path, keepalived_form=False) == (tmp_path / "pyvrrp.pid", None)
    assert pid_files(tmp_path, "blue", keepalived_form=False) == (tmp_path / "pyvrrp_blue.pid", None)
    assert control_socket(tmp_path) == tmp_path / "control"
    assert control_socket(tmp_path, "blue") == tmp_path / "control-blue"


def test_the_run_directory_is_run_pyvrrp_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("PYVRRP_RUN_DIR", raising=False)
    assert default_run_directory() == Path("/run/pyvrrp")
    monkeypatch.setenv("PYVRRP_RUN_DIR", "/srv/run")
    assert default_run_directory() == Path("/srv/run")


def test_a_directory_that_exists_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_run_directory_that_can_not_be_made_or_trusted(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unusable, match=r"run directory .*: Not a directory; name another one with --run-dir"):
        prepare(tmp_path / "file" / "run")
    with pytest.raises(Unusable, match=r"run directory .*: File exists; name"):
        prepare(tmp_path / "file")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(Unusable, match="everybody may write into it; `chmod o-w"):
        prepare(tmp_path / "open")


def test_who_holds_a_file_can_be_told_from_a_number_that_was_left(path):
    assert pidfile.holder(path) == 0
    path.write_text(f"{os.getpid()}\n")
    assert pidfile.holder(path) == 0, "it is not locked"
    path.unlink()
    process = holder(path)
    assert pidfile.holder(path) == process.pid
    process.communicate()
    assert pidfile.holder(path) == 0
