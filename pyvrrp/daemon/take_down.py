"""Gives back what a speaker held that can't do it any more, as its journal names it.

Done by the guard when it gives a speaker up, and at the next start after a crash. Standard library only.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

from pyvrrp.daemon import journal
from pyvrrp.daemon.journal import Commands, Entry, Held
from pyvrrp.host.capabilities import MissingCapability
from pyvrrp.host.namespace import enter_namespace
from pyvrrp.host.vrrp_socket import VrrpSocket

UNDO_TIMEOUT = 30.0
"seconds for each command"
_ANSWER_TIMEOUT = 1.0
_NLMSG_ERROR = 2
_HEADER = struct.Struct("=IHHIIi")
"struct nlmsghdr, and the error of an NLMSG_ERROR"
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV)

_LOG = logging.getLogger("pyvrrp")


def give_up(path: Path) -> None:
    """Take everything down that the journal names, with priority 0 for what was MASTER, and forget it."""
    try:
        left = journal.read(path)
        if left.net_namespace:
            enter_namespace(left.net_namespace)
        for line in take_down(left.entries.values(), goodbye=True):
            _LOG.warning("%s", line)
        for plugin, commands in left.services.items():
            for line in undo(plugin, commands):
                _LOG.warning("%s", line)
        journal.remove(path)
    except OSError as error:
        _LOG.error("can't give the role up: %s: %s; the leases run out", error.filename or path, error.strerror)


def take_down(entries: Iterable[Entry], *, goodbye: bool) -> Iterator[str]:
    """Give back what the entries name; a line for each thing that was still there, or that can't be given back.

    With `goodbye` the peers hear priority 0: at once, or after the commands where there are some, so that nobody takes
    over what we still hold.
    """
    every = list(entries)
    plain = [entry for entry in every if not entry.undo]
    others = [entry for entry in every if entry.undo]
    if goodbye:
        yield from _say_goodbye(plain)
    yield from _delete(every)
    for entry in others:
        yield from undo(entry.name, entry.undo)
    if goodbye:
        yield from _say_goodbye(others)


def _say_goodbye(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        for packet in entry.goodbyes:
            try:
                with closing(VrrpSocket(packet.family, packet.interface, packet.index, protocols=())) as channel:
                    channel.send(
                        bytes.fromhex(packet.packet),
                        ip_address(packet.source),
                        ip_address(packet.destination),
                        packet.ttl,
                    )
            except (OSError, MissingCapability) as error:
                why = error.strerror if isinstance(error, OSError) else error
                yield f"{entry.name}: can't send priority 0 to {packet.destination}: {why}"
            else:
                yield f"{entry.name}: priority 0 to {packet.destination}"


def _delete(entries: Sequence[Entry]) -> Iterator[str]:
    if not any(entry.addresses for entry in entries):
        return
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(_ANSWER_TIMEOUT)
        for entry in entries:
            for held in entry.addresses:
                code = _ask(netlink, held)
                if code == 0:
                    yield f"{entry.name}: removed {held.address} from {held.device}"
                elif code not in _GONE:
                    yield f"{entry.name}: can't remove {held.address} from {held.device}: {os.strerror(code)}"


def _ask(netlink: socket.socket, held: Held) -> int:
    """Send the message that deletes an address; the kernel's answer, an errno."""
    try:
        netlink.send(bytes.fromhex(held.delete))
        _, kind, _, _, _, code = _HEADER.unpack_from(netlink.recv(4096))
    except TimeoutError:
        return errno.ETIMEDOUT
    except OSError as error:
        return error.errno or errno.EIO
    return -code if kind == _NLMSG_ERROR else errno.EPROTO


def undo(name: str, commands: Commands) -> Iterator[str]:
    """Run the commands that give back what `name` held; a line for each."""
    for argv in commands:
        command = shlex.join(argv)
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=UNDO_TIMEOUT)
        except OSError as error:
            yield f"{name}: undo: `{command}` can't be run: {error.strerror}"
        except subprocess.TimeoutExpired:
            yield f"{name}: undo: `{command}` killed after {UNDO_TIMEOUT:g} s"
        else:
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
            outcome = "ok" if done.returncode == 0 else ": ".join([f"exit status {done.returncode}", *said])
            yield f"{name}: undo: `{command}`: {outcome}"
