"""The flags of keepalived(8), 2.2.7 to 2.4, and their getopt_long(3) syntax."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `argument` is empty, `FILE` (required) or `[FILE]` (only attached: `-tFILE`, `--config-test=FILE`)."""

    short: str
    long: str
    argument: str
    no_effect: str = ""
    "why it changes nothing here"


FLAGS = (
    Flag("f", "use-file", "FILE"),
    Flag("P", "vrrp", ""),
    Flag("C", "check", ""),
    Flag("B", "no_bfd", "", "there is no BFD process"),
    Flag("", "all", "", "there is one daemon for everything"),
    Flag("l", "log-console", ""),
    Flag("D", "log-detail", ""),
    Flag("S", "log-facility", "FACILITY"),
    Flag("g", "log-file", "FILE"),
    Flag("", "flush-log-file", "", "the log file is always flushed"),
    Flag("G", "no-syslog", ""),
    Flag("X", "release-vips", "", "addresses are always released at the end"),
    Flag("V", "dont-release-vrrp", ""),
    Flag("I", "dont-release-ipvs", "", "there is no IPVS"),
    Flag("R", "dont-respawn", ""),
    Flag("n", "dont-fork", ""),
    Flag("d", "dump-conf", ""),
    Flag("p", "pid", "FILE"),
    Flag("r", "vrrp_pid", "FILE"),
    Flag("c", "checkers_pid", "FILE", "there is no checker process"),
    Flag("b", "bfd_pid", "FILE", "there is no BFD process"),
    Flag("T", "genhash", ""),
    Flag("a", "address-monitoring", "", "use `ip monitor address`"),
    Flag("s", "namespace", "NAME"),
    Flag("e", "all-config", "", "write `include_check` in the configuration"),
    Flag("i", "config-id", "ID"),
    Flag("x", "snmp", "", "there is no SNMP agent"),
    Flag("A", "snmp-agent-socket", "FILE", "there is no SNMP agent"),
    Flag("u", "umask", "MASK"),
    Flag("m", "core-dump", ""),
    Flag("M", "core-dump-pattern", "[PATTERN]", "the system's core_pattern is left alone; -m allows core dumps"),
    Flag("", "signum", "NAME"),
    Flag("t", "config-test", "[FILE]"),
    Flag("", "perf", "[WHEN]", "nothing records perf data"),
    Flag("", "debug", "[OPTIONS]", "use -D"),
    Flag("", "no-mem-check", "", "Python checks memory"),
    Flag("L", "mem-check-log", "", "Python checks memory"),
    Flag("v", "version", ""),
    Flag("h", "help", ""),
)


class UsageError(Exception):
    """The command line can't be understood; the text says which word of it."""


def parse(arguments: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The flags by long name with their arguments (empty where there is none; the last one wins), and other words."""
    found: dict[str, str] = {}
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            others += words
        elif word.startswith("--"):
            flag, text = _long(word, words)
            found[flag.long] = text
        elif word.startswith("-") and word != "-":
            found.update((flag.long, text) for flag, text in _short(word[1:], words))
        else:
            others.append(word)
    return found, others


def _long(word: str, words: Iterator[str]) -> tuple[Flag, str]:
    name, equals, text = word[2:].partition("=")
    matching = [flag for flag in FLAGS if flag.long == name] or [flag for flag in FLAGS if flag.long.startswith(name)]
    if len(matching) != 1:
        more = " is ambiguous: " + ", ".join(f"--{flag.long}" for flag in matching) if matching else " is unknown"
        raise UsageError(f"option {word}{more}; `pyvrrp --help` explains the command line")
    flag = matching[0]
    if equals and not flag.argument:
        raise UsageError(f"option --{flag.long} takes no argument")
    if flag.argument and not flag.argument.startswith("[") and not equals:
        text = _next(f"--{flag.long} {flag.argument}", words)
    return flag, text


def _short(letters: str, words: Iterator[str]) -> Iterator[tuple[Flag, str]]:
    while letters:
        flag = next((flag for flag in FLAGS if flag.short == letters[0]), None)
        if flag is None:
            raise UsageError(f"option -{letters[0]} is unknown; `pyvrrp --help` explains the command line")
        letters = letters[1:]
        if not flag.argument:
            yield flag, ""
            continue
        required = not flag.argument.startswith("[")
        yield flag, letters or (_next(f"-{flag.short} {flag.argument}", words) if required else "")
        return


def _next(what: str, words: Iterator[str]) -> str:
    for word in words:
        return word
    raise UsageError(f"option {what}: the argument is missing")
