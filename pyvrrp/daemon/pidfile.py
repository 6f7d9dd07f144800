"""Pid files: locked while their process lives, so that a second start is refused and a stale file is replaced."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from pyvrrp.daemon.run_directory import Unusable


class AlreadyRunning(Exception):
    """Another daemon holds the pid file or the control socket; `pid` is 0 when it can't be told."""

    def __init__(self, pid: int, where: Path, name: str = "pyvrrp") -> None:
        who = f"pid {pid}, {where}" if pid else f"{where} is in use"
        super().__init__(f"{name} is already running ({who}); stop that one first, or use other files (--run-dir)")
        self.pid = pid


class PidFile:
    """One pid file of this process.

    The lock (flock) decides who owns it, so a stale number that another process has been given since does not keep a
    daemon from starting. keepalived does not lock: it is running when the number is that of a process of its name.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        """`descriptor`: the file is locked already, by a process that has sent it to us (see `detach`)."""
        self.path = path
        self._fd = descriptor

    def acquire(self, pid: int | None = None) -> None:
        """Lock the file and write our pid, or that of the process that is to keep it, as keepalived writes it.

        Raises AlreadyRunning, or Unusable when the file can't be written.
        """
        try:
            while self._fd is None:
                self._fd = self._locked()
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{pid or os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise Unusable(f"pid file {self.path}: {error.strerror}; name another one with --pid-file") from error

    def detach(self) -> int:
        """The descriptor that holds the lock, for another process: the file is no more this object's."""
        assert self._fd is not None
        descriptor, self._fd = self._fd, None
        return descriptor

    def release(self) -> None:
        """Remove the file if it is still ours; harmless when it was never acquired, or belongs to our parent."""
        if self._fd is None:
            return
        if _same(self.path, self._fd) and _pid_in(self._fd) == os.getpid():
            with contextlib.suppress(OSError):  # a stale file does no harm
                self.path.unlink()
        os.close(self._fd)
        self._fd = None

    def _locked(self) -> int | None:
        """The file, locked; None when its owner removed it between our open and our lock."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o644)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unusable(f"pid file {self.path}: not a regular file; name another one with --pid-file")
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(_pid_in(fd), self.path) from None
            if not _same(self.path, fd):
                return None
            if _is_keepalived(pid := _pid_in(fd)):
                raise AlreadyRunning(pid, self.path, "keepalived")
            undo.pop_all()
        return fd


def holder(path: Path) -> int:
    """The process that lives and has the pid file; 0: there is none, or it can't be told."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(fd)
    except OSError:
        pass
    finally:
        os.close(fd)
    return 0


def _pid_in(fd: int) -> int:
    try:
        return int(os.pread(fd, 32, 0).split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _is_keepalived(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() == "keepalived"
    except OSError:
        return False


def _same(path: Path, fd: int) -> bool:
    try:
        there, here = path.lstat(), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
