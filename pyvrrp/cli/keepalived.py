"""keepalived's command line: `pyvrrp --dont-fork -D` where a unit file said `keepalived --dont-fork -D`.

Every flag of keepalived's is accepted; those that change nothing here are named in one warning.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from dataclasses import replace
from pathlib import Path

from pyvrrp import __version__
from pyvrrp.cli.background import in_background
from pyvrrp.cli.flags import FLAGS, UsageError, parse
from pyvrrp.cli.run import start
from pyvrrp.daemon.environment import CHANNEL
from pyvrrp.daemon.logs import FACILITIES, Destination, LogOptions
from pyvrrp.daemon.options import DEFAULT_CONFIG_FILE, SIGNALS, ExitStatus, RunOptions
from pyvrrp.daemon.starter import leave_terminal


def run(arguments: list[str], *, own_process: bool) -> int:
    """Do what the flags ask for and return keepalived's exit status."""
    try:
        found, others = parse(arguments)
        if "help" in found:
            return _help()
        if "version" in found:
            print(f"pyvrrp {__version__}")
            return ExitStatus.OK
        if "signum" in found:
            return _signum(found["signum"])
        if "genhash" in found:
            raise UsageError("-T: there is no genhash here; use `curl -s URL | md5sum`")
        if "config-test" in found:
            from pyvrrp.cli.config_test import config_test

            return config_test(_path(found, "use-file") or DEFAULT_CONFIG_FILE, found.get("config-id"),
                               Path(found["config-test"]) if found["config-test"] else None)  # fmt: skip
        return _run(found, others, guarded=own_process and "dont-respawn" not in found)
    except UsageError as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return ExitStatus.FATAL


def _run(found: dict[str, str], others: list[str], *, guarded: bool) -> int:
    if "umask" in found:
        os.umask(_octal(found["umask"]))
    if "core-dump" in found or "core-dump-pattern" in found:
        _allow_core_dumps()
    options, log_options = run_options(found), _log_options(found)
    if CHANNEL in os.environ:  # the guard's speaker: what concerns the terminal is done
        in_front = "dont-fork" in found
        return start(options if in_front else replace(options, on_up=leave_terminal), log_options, guarded=True)
    if warning := _without_effect(found, others):
        print(f"pyvrrp: {warning}", file=sys.stderr)
    if "dont-fork" in found:
        return start(options, log_options, guarded=guarded)
    directory = os.getcwd()
    return in_background(
        lambda starter: start(
            replace(options, on_up=starter), log_options, guarded=guarded, directory=directory, starter=starter
        )
    )


def run_options(found: dict[str, str]) -> RunOptions:
    """What the flags ask of the daemon."""
    vrrp, checkers = "vrrp" in found, "check" in found
    return RunOptions(
        config_file=_path(found, "use-file") or DEFAULT_CONFIG_FILE,
        config_id=found.get("config-id"),
        net_namespace=found.get("namespace"),
        pid_file=_path(found, "pid"),
        vrrp_pid_file=_path(found, "vrrp_pid"),
        keepalived_form=True,
        vrrp=vrrp or not checkers,
        plugins=checkers or not vrrp,
        keep_addresses="dont-release-vrrp" in found,
        dump_config="dump-conf" in found,
    )


def _log_options(found: dict[str, str]) -> LogOptions:
    if "log-console" in found:
        destination = Destination.CONSOLE
    else:
        destination = Destination.NONE if "no-syslog" in found else Destination.SYSTEM
    return LogOptions(
        level=logging.DEBUG if "log-detail" in found else logging.INFO,
        destination=destination,
        file=_path(found, "log-file"),
        facility=_facility(found.get("log-facility", "daemon")),
    )


def _facility(text: str) -> str:
    name = f"local{text}" if text.isdigit() else text.lower()
    if name not in FACILITIES:
        raise UsageError(f"-S {text}: the facility is 0-7, local0-local7, user or daemon")
    return name


def _octal(text: str) -> int:
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise UsageError(f"-u {text}: the umask is an octal number, 0-0777")
    return mask


def _path(found: dict[str, str], name: str) -> Path | None:
    """Absolute, because the daemon leaves the directory that it was started in."""
    return Path(found[name]).absolute() if found.get(name) else None


def _without_effect(found: dict[str, str], others: list[str]) -> str:
    """One sentence about what is accepted and changes nothing."""
    parts = [f"{_spelled(flag.short, flag.long)} ({flag.no_effect})" for flag in FLAGS
             if flag.long in found and flag.no_effect]  # fmt: skip
    parts += [f"{word!r} (not a flag)" for word in others]
    return f"no effect here: {', '.join(parts)}" if parts else ""


def _spelled(short: str, long: str) -> str:
    return f"-{short}" if short else f"--{long}"


def _allow_core_dumps() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError) as error:
        print(f"pyvrrp: -m: core dumps stay limited: {error}", file=sys.stderr)


def _signum(name: str) -> int:
    if name not in SIGNALS:
        raise UsageError(f"--signum={name}: unknown; known: {', '.join(SIGNALS)}")
    print(int(SIGNALS[name]))
    return ExitStatus.OK


def _help() -> int:
    print("usage: pyvrrp [FLAG ...], keepalived's form; `pyvrrp --help` lists the verbs\n")
    for flag in FLAGS:
        short = f"-{flag.short}," if flag.short else "   "
        argument = flag.argument.replace("[", "[=") if flag.argument.startswith("[") else f"={flag.argument}"
        effect = f"no effect: {flag.no_effect}" if flag.no_effect else ""
        print(f"  {short} --{flag.long}{argument if flag.argument else ''}".ljust(36 if effect else 0) + effect)
    return ExitStatus.OK
