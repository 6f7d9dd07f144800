"""Notify scripts that drive DRBD, read for what they do, and the `storage` block that does the same in order; pure.

Only plain lines are understood: `drbdadm primary`, `mount`, `systemctl start`, `service`. What is not is told.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_IGNORED = frozenset({"#!", "exit", "sleep", "logger", "echo", "set", "mkdir", "rmdir", "true", ":"})
_NFS = frozenset({"nfs", "nfs-server", "nfs-kernel-server", "nfsserver", "nfsd"})
_FORCED = frozenset({"--force", "-f", "-o", "--overwrite-data-of-peer"})
_SHELL = frozenset({"if", "then", "else", "elif", "fi", "for", "while", "do", "done", "case", "esac", "{", "}"})


@dataclass(slots=True)
class Found:
    """What a script brings up."""

    resources: list[str] = field(default_factory=list)
    "`all` stands for every one"
    mounts: list[tuple[str, str, str, str]] = field(default_factory=list)
    "device, directory, type, options"
    units: list[str] = field(default_factory=list)
    nfs: bool = False
    forced: list[str] = field(default_factory=list)
    "lines that force something: never carried over"
    unread: list[str] = field(default_factory=list)
    "lines that are not understood"


def read(script: str) -> Found:
    """What the script of notify_master does."""
    found = Found()
    for line in script.splitlines():
        for part in line.replace("&&", ";").replace("||", ";").split(";"):
            if part.strip() and not part.strip().startswith("#"):
                _read_command(part.strip(), found)
    return found


def _read_command(text: str, found: Found) -> None:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        found.unread.append(text)
        return
    if not words:
        return
    name, rest = words[0].rpartition("/")[2], words[1:]
    plain = [word for word in rest if not word.startswith("-") and ">" not in word]
    match name, plain:
        case "drbdadm", [*_, "primary", resource] if not {"--force", "-f", "-o", "--overwrite-data-of-peer"} & set(
            rest
        ):
            found.resources.append(resource)
        case "drbdadm", [*_, "primary", resource]:
            found.resources.append(resource)
            found.forced.append(text)
        case "mount", _:
            _read_mount(text, rest, found)
        case "systemctl", ["start" | "restart", *units]:
            _add_services(units, found)
        case "service", [unit, "start" | "restart"]:
            _add_services([unit], found)
        case "exportfs", _:
            found.nfs = True
        case _, ["start" | "restart"] if words[0].startswith("/etc/init.d/"):
            _add_services([name], found)
        case _ if name in _IGNORED or name in _SHELL:
            pass
        case _:
            found.unread.append(text)


def _read_mount(text: str, words: Sequence[str], found: Found) -> None:
    kind = options = ""
    plain: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "-t":
            kind = next(waiting, "")
        elif word == "-o":
            options = next(waiting, "")
        elif not word.startswith("-"):
            plain.append(word)
    if len(plain) == 2 and plain[0].startswith("/dev/drbd"):
        found.mounts.append((plain[0], plain[1], kind, options))
    else:
        found.unread.append(text)


def _add_services(units: Iterable[str], found: Found) -> None:
    for unit in units:
        if unit.removesuffix(".service") in _NFS:
            found.nfs = True
        else:
            found.units.append(unit)


def block(name: str, instance: str, found: Found, resources: Sequence[str]) -> str:
    """The text of the block; `resources` are those that `all` stands for."""
    names = [each for word in found.resources for each in (resources if word == "all" else (word,))]
    lines = [f"storage {name} {{", f"    vrrp_instance {instance}"]
    lines += [f"    drbd_resource {each}" for each in dict.fromkeys(names)]
    for device, point, kind, options in found.mounts:
        inside = "  ".join(([f"fstype {kind}"] if kind else []) + ([f"options {options}"] if options else []))
        lines.append(f"    mount {device} {point} {{ {inside} }}".replace("{  }", "{ }"))
    if found.nfs:
        point = found.mounts[0][1] if found.mounts else "/mnt/data"
        lines += [
            "    nfs {",
            f"        state_dir {point}/.nfs",
            "        # what /etc/exports has for this volume goes here, and away from there",
            f"        export {point}/export {{ client 192.0.2.0/24  options rw,sync,no_subtree_check  fsid 1 }}",
            "    }",
        ]
    lines += [f"    systemd_unit {each}" for each in found.units]
    return "\n".join([*lines, "    on_demote_failure hold", "}"])
