"""What is done is told as it is done, and who else decides about it is asked first."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from drbdctl.cli.storage import DONE, FAILED, REFUSED, Unusable
from drbdctl.steps.transaction import Progress, Refused
from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.daemon.run_directory import control_socket, default_run_directory


async def tell(verb: str, told: AsyncIterator[Progress | Refused]) -> int:
    """Print what happens; the exit status says how it ended, the first trouble counts."""
    status, begun = None, False
    async for each in told:
        match each:
            case Refused(refusals):
                for refusal in refusals:
                    print(f"drbdctl {verb}: refused: {refusal}", file=sys.stderr)
                status = status or REFUSED
            case Progress(planned, False):
                begun = True
                print(f"{planned} ...", flush=True)
            case Progress(planned, True, None):
                print(f"{planned.step}: done", flush=True)
            case Progress(planned, True, failure):
                print(f"drbdctl {verb}: {planned.step} failed: {failure}", file=sys.stderr)
                status = status or FAILED
    if status is None and not begun:
        print("nothing to do")
    return status or DONE


def daemon_decides(storage: str) -> bool:
    """Whether the daemon that runs here has this storage; raises Unusable when that can't be found out."""
    try:
        status = call(control_socket(default_run_directory()), "status")
    except NotRunning:
        return False
    except ControlError as error:
        raise Unusable(f"pyvrrp runs, and can't be asked whether storage {storage} is its own: {error}") from None
    return storage in status.get("plugins", {}).get("drbdctl", {}).get("storages", {})


def refuse_beside_daemon(storage: str) -> None:
    """Raises Unusable when the daemon that runs here has this storage."""
    if daemon_decides(storage):
        raise Unusable(f"pyvrrp runs here and decides about storage {storage}; `drbdctl move`, or stop it first")
