"""Notify scripts that drive DRBD: what a storage block would do in order, and with its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Command, Config, VrrpInstance

_DRIVES = ("drbdadm", "drbdsetup")


def recommend(config: Config, followed: set[str], diagnostics: Diagnostics) -> None:
    """Recommend the block for each vrrp_instance whose scripts drive DRBD, and which no block follows yet."""
    for instance in config.instances:
        script = next(driving(instance), None)
        if script is None or instance.name in followed:
            continue
        diagnostics.warning(
            instance.position,
            "script-drives-drbd",
            f"vrrp_instance {instance.name}: {script} drives DRBD beside the election: the address is up before the "
            "volume is mounted, old data are promoted unasked, and a step that fails moves nothing",
            f"a storage block does it in order: `drbdctl adopt -f {instance.position.file}` writes it",
        )


def driving(instance: VrrpInstance) -> Iterator[str]:
    """The scripts of its notify lines that drive DRBD."""
    notify = instance.notify
    for command in (notify.master, notify.backup, notify.fault, notify.any):
        if command is not None and (script := _script(command)):
            yield script


def _script(command: Command) -> str:
    """The word of the command that is it, or names it; one that can't be read is judged by its name."""
    for word in command.argv:
        if word.rpartition("/")[2] in _DRIVES:
            return word
        if not word.startswith("/"):
            continue
        try:
            text = Path(word).read_bytes()[:65536].decode(errors="replace")
        except OSError:
            text = word.rpartition("/")[2].replace("drbd", "drbdadm")
        if any(name in text for name in _DRIVES) and "\0" not in text:
            return word
    return ""
