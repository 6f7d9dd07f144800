"""The run directory: where the control socket and the pid files are."""

from __future__ import annotations

import os
import stat
from pathlib import Path

ENVIRONMENT = "PYVRRP_RUN_DIR"
_KEEPALIVED = Path("/run")


class Unusable(Exception):
    """A file or directory can't be used; the text names it, the reason and the next step."""


def default_run_directory() -> Path:
    """`PYVRRP_RUN_DIR`, or /run/pyvrrp."""
    return Path(os.environ.get(ENVIRONMENT) or "/run/pyvrrp")


def control_socket(run_dir: Path, instance: str | None = None) -> Path:
    """`control`, or `control-NAME` where the configuration says `instance NAME`."""
    return run_dir / (f"control-{instance}" if instance else "control")


def journal(run_dir: Path, instance: str | None = None) -> Path:
    """`journal`, or `journal-NAME`: see pyvrrp.daemon.journal."""
    return run_dir / (f"journal-{instance}" if instance else "journal")


def pid_files(run_dir: Path, instance: str | None = None, *, keepalived_form: bool) -> tuple[Path, Path | None]:
    """The pid files of the first process and of the VRRP process, where no option names them.

    keepalived's form: /run/keepalived.pid and /run/keepalived_vrrp.pid, which unit files (`PIDFile=`) and scripts know;
    otherwise the first process's alone, in the run directory. `instance NAME` becomes part of the names.
    """
    suffix = f"_{instance}.pid" if instance else ".pid"
    if keepalived_form:
        return _KEEPALIVED / f"keepalived{suffix}", _KEEPALIVED / f"keepalived_vrrp{suffix}"
    return run_dir / f"pyvrrp{suffix}", None


def prepare(run_dir: Path) -> None:
    """Make the directory with mode 0750 when it is missing.

    Raises Unusable when it can't be made, is no directory, or when everybody may write into it: who can rename a
    socket can answer in the daemon's place.
    """
    try:
        if not run_dir.is_dir():
            run_dir.mkdir(parents=True)
            run_dir.chmod(0o750)
        mode = run_dir.stat().st_mode
    except OSError as error:
        raise Unusable(f"run directory {run_dir}: {error.strerror}; name another one with --run-dir") from error
    if mode & stat.S_IWOTH:
        raise Unusable(f"run directory {run_dir}: everybody may write into it; `chmod o-w {run_dir}` or --run-dir")
