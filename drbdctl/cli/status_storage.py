"""What the running daemon says of its storages: who serves, and what would happen on a failover, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.daemon.run_directory import control_socket, default_run_directory


def of_the_daemon() -> dict[str, Any]:
    """By name; empty where no daemon runs, or none that has storages."""
    try:
        status = call(control_socket(default_run_directory()), "status", timeout=3.0)
    except (NotRunning, ControlError):
        return {}
    found: dict[str, Any] = status.get("plugins", {}).get("drbdctl", {}).get("storages", {})
    return found


def lines(storages: dict[str, Any]) -> Iterator[str]:
    """A few lines for each."""
    for name, storage in storages.items():
        yield f"storage {name} ({storage['vrrp_instance']}): {storage['phase']}"
        if storage["step"]:
            yield f"    now: {storage['step']}"
        if storage["alarm"]:
            yield f"    {storage['alarm']}"
        if storage["phase"] in ("secondary", "unknown"):
            yield "    on a failover: " + ("it would not take over" if storage["faults"] else "it would take over")
        for what in (*storage["faults"], *storage["degraded"], *(f"waits: {each}" for each in storage["refusals"])):
            yield f"    {what}"
