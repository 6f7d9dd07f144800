"""What an administrator writes: files in use with lines and words changed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from unittest import mock

from pyvrrp.config import preprocessor
from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.load import load_text
from pyvrrp.config.tables import ROOT
from pyvrrp.daemon import plugins
from tests.fuzz.mutate import mutate_bytes, mutate_lines

_EXAMPLES = Path(__file__).parents[1] / "corpus" / "keepalived"
MOST_LINES = 2_000
"that generators may make, in place of 250 000: as many take half a minute, and this is about what goes wrong"
_INCLUDED = {"a.conf": "priority 100\n", "b.conf": "vrrp_script B {\n", "loop.conf": "include loop.conf\n}\n"}
_FRAGMENTS_TEXT = """
    { } {} " ' \\ # ! \\# // = , ( ) $A $A= ${A} ${A $B=$A ${_RANDOM 1 2} ${_PWD} ${_ENV X} ${_HASH} ${_INSTANCE}
    @main @other @^main @ ~SEQ(A,3) ~SEQx(B,1,2,9) ~LST({A,B},{1,2},3) ~SEQ( ~LST ~SEQ(A,-3,3) ~SEQ(A,999999)
    include includea {a,b}.conf loop.conf pipe.conf *.conf nowhere include_check -match random_seed
    0 1 2 3 7 100 254 255 256 -1 -0 0x10 010 0.4 1.5 40.95 1e9 99999999999 nan inf ٣ ² abc on off true MASTER BACKUP
    eth0 PASS AH pass 192.0.2.1 192.0.2.1/24 192.0.2.1/99 2001:db8::1 2001:db8::1/64 fe80::1 ff02::12 224.0.0.18
    fe80::1%eth0 ::ffff:192.0.2.1 dev brd + - scope link label peer weight reverse noreverse min_ttl max_ttl
    preferred_lft forever /bin/true </etc/hosts VI_1 V4 CLOUD chk A B C auto UDP both NOERROR SERVFAIL,NXDOMAIN TYPE65
    www.example.com. <<<<<<< ======= >>>>>>>
"""
_FRAGMENTS = (*_FRAGMENTS_TEXT.split(), *"\0\t\r\ufeff\xa0\udcffé")


def _names(keywords: Iterable[Keyword]) -> Iterator[str]:
    for keyword in keywords:
        yield keyword.name
        if isinstance(keyword.body, tuple):
            yield from _names(keyword.body)


@cache
def _plugins() -> list[plugins.Plugin]:
    return plugins.load()


@cache
def _words() -> list[str]:
    own = [keyword for plugin in _plugins() for keyword in (*plugin.keywords, *plugin.instance_keywords)]
    return [*_FRAGMENTS, *sorted(set(_names((*ROOT, *own))))]


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    directory = tempfile.TemporaryDirectory(prefix="fuzz-conf-")
    for name, text in _INCLUDED.items():
        (Path(directory.name) / name).write_text(text)
    os.mkfifo(Path(directory.name) / "pipe.conf")
    return directory


def seeds() -> list[bytes]:
    """The files of tests/corpus/keepalived."""
    return [path.read_bytes() for path in sorted(_EXAMPLES.glob("*.conf"))]


def mutate(random: Random, given: list[bytes]) -> bytes:
    """Mostly other lines and words, sometimes other bytes."""
    words = _words()
    if random.randrange(8) == 0:
        return mutate_bytes(random, given, [word.encode("utf-8", "surrogateescape") for word in random.choices(words)])
    texts = [random.choice(given).decode("utf-8", "surrogateescape") for _ in range(2)]
    if random.randrange(4):
        texts = [_block(random, text) for text in texts]
    return mutate_lines(random, texts, words).encode("utf-8", "surrogateescape")


def _block(random: Random, text: str) -> str:
    """One block of a file: a short input is read ten times as fast."""
    blocks = re.split(r"(?m)(?<=^})\n", text)
    return random.choice(blocks)


def run(data: bytes) -> list[str]:
    """Read a file and configure every plugin from it; how much would run, and the codes of what was found."""
    text = data.decode("utf-8", "surrogateescape")
    name = f"{_directory().name}/keepalived.conf"
    with mock.patch.object(preprocessor, "MOST_LINES", MOST_LINES):
        loaded = load_text(text, name=name, config_id="main", plugins=_plugins(), environ={"X": "y"})
    for plugin in _plugins():
        service = plugin.configure(loaded.config, loaded.diagnostics)
        assert all(spec.rise >= 1 and spec.fall >= 1 for spec in service.trackers)
        service.status()
    files = {name: text} | {f"{_directory().name}/{each}": content for each, content in _INCLUDED.items()}
    _check(loaded.diagnostics, files)
    outcome = "nothing to run" if loaded.diagnostics.fatal else f"{len(loaded.config.instances)} instances"
    return [outcome, *sorted({found.code for found in loaded.diagnostics})]


def _check(diagnostics: Diagnostics, files: dict[str, str]) -> None:
    for found in diagnostics:
        assert str(found).isprintable()
        assert found.message
        _check_position(found.position, files[found.position.file])


def _check_position(position: Position, text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    assert 1 <= position.line <= len(lines)
    assert 0 <= position.column <= max(1, len(lines[position.line - 1]) + 1)
