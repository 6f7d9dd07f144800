"""The operator's words about servers, kept in the run directory so that they outlive the process, not the machine."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnslb.balancer.served import Served
from dnslb.model import VirtualServer
from dnslb.pool_events import Admin, AdminChanged
from dnslb.real_server.record import path as record_path
from pyvrrp.core.events import IPAddress

_LOG = logging.getLogger("dnslb")
FILE = "dnslb-operator"


class Operator:
    """What was said of which server, by virtual server and the server's address."""

    def __init__(self, file: Path | None = None) -> None:
        """None: the file in the run directory."""
        self._file = file or record_path().with_name(FILE)
        self._said = _read(self._file)

    def words(self, server: VirtualServer) -> Iterator[tuple[IPAddress, Admin]]:
        """What was said about the real servers of a virtual server."""
        said = self._said.get(server.name, {})
        yield from (
            (real.address, said[str(real.address)]) for real in server.real_servers if str(real.address) in said
        )

    def say(self, word: Admin, meant: Sequence[tuple[Served, IPAddress]]) -> None:
        """A word about servers; raises OSError when it can't be written down, and then nothing changes."""
        said = {virtual: dict(words) for virtual, words in self._said.items()}
        for served, address in meant:
            words = said.setdefault(served.server.name, {})
            words.pop(str(address), None)
            if word is not Admin.AUTO:
                words[str(address)] = word
        _write(self._file, {virtual: words for virtual, words in said.items() if words})
        self._said = said
        for served, address in meant:
            served.handle(AdminChanged(address, word))


def _read(file: Path) -> dict[str, dict[str, Admin]]:
    try:
        found = json.loads(file.read_bytes())
        return {virtual: {server: Admin(word) for server, word in words.items()} for virtual, words in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        _LOG.error("%s can't be read, so no server is drained or forced: %s; say it again", file, error)
        return {}


def _write(file: Path, said: dict[str, dict[str, Admin]]) -> None:
    if not said:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        return
    new = file.with_name(f"{file.name}.new")
    texts = {virtual: {server: word.value for server, word in words.items()} for virtual, words in said.items()}
    new.write_text(json.dumps(texts, indent=1))
    os.replace(new, file)
