"""`drbdctl backup run|list|verify|status|clean`: the backups that the `backup` blocks of keepalived.conf ask for.

With `--json` list and status write one object: `schema` (1) and `resources`, by name. Fields may be added to it under
the same schema number.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from drbdctl.backup import record, staging
from drbdctl.backup.configured import Configured, Extension, configured
from drbdctl.backup.credentials import BadCredentials, environment
from drbdctl.backup.decision import Go, Leave, Refuse
from drbdctl.backup.driver import DriverFailed
from drbdctl.backup.health import health
from drbdctl.backup.holder import Busy, held, holder
from drbdctl.backup.programs import driver
from drbdctl.backup.record import Event, Record
from drbdctl.backup.run import Job, archives, back_up, clean, plan
from drbdctl.backup.settings import redacted
from drbdctl.backup.surroundings import node
from drbdctl.backup.verify import verify
from drbdctl.cli import backup_text
from drbdctl.drbd_conf import load as load_drbd
from drbdctl.status.state import Unreadable
from drbdctl.steps.effect import StepFailed
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load

SCHEMA = 1
CONFIGURATION = "/etc/keepalived/keepalived.conf"
DONE, REFUSED, UNUSABLE, FAILED = 0, 1, 2, 4
_STATUS = {Event.MADE: DONE, Event.LEFT: DONE, Event.VERIFIED: DONE, Event.REFUSED: REFUSED}


class _Unusable(Exception):
    """The configuration does not say what to do; the text is one line."""


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "backup",
        help="backups of a volume: run, list, verify, status, clean",
        description="Back up replicated volumes by restic or borg, from LVM snapshots of their backing devices.",
        epilog="exit status: 0 done, or left to the peer; 1 refused, or (status) something is wrong; 2 the "
        "configuration can't be used; 4 it failed. The highest counts.",
    )
    add = parser.add_argument
    add("what", choices=("run", "list", "verify", "status", "clean"))
    add("resource", nargs="?", help="of drbd.conf (default: each that has a backup block)")
    add("-f", "--file", default=CONFIGURATION, help="keepalived.conf (default: %(default)s)")
    add("--here", action="store_true", help="run: don't leave it to the peer")
    add("--dry-run", action="store_true", help="run: say what would be done, and why")
    add("--json", action="store_true", help="list, status: write one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Do it for each resource; the highest exit status counts."""
    try:
        wanted = _resources(arguments.file, arguments.resource)
        if arguments.what == "run" and not arguments.dry_run:
            staging.own_namespace()
    except _Unusable as error:
        return _complain(UNUSABLE, str(error))
    except OSError as error:
        return _complain(UNUSABLE, f"{error.filename}: {error.strerror}; run it as root")
    shown: dict[str, Any] = {}
    status = max(_one(each, arguments, shown) for each in wanted)
    if arguments.json and shown:
        print(json.dumps({"schema": SCHEMA, "resources": shown}, indent=2))
    return status


def _resources(file: str, name: str | None) -> list[Configured]:
    diagnostics = Diagnostics()
    try:
        loaded = load(file, plugins=[Extension()])
    except OSError as error:
        raise _Unusable(f"{file}: {error.strerror}; name another file with -f") from None
    found = configured(loaded.config, diagnostics)
    for each in diagnostics:
        print(each, file=sys.stderr)
    if name is None and found:
        return list(found.values())
    if name in found:
        return [found[name]]
    has = f"has backups of {', '.join(found)}" if found else "has no storage block with a usable backup block"
    raise _Unusable(f"{file} {has}{f', not of {name}' if name else ''}; see docs/backup.md")


def _one(wanted: Configured, arguments: argparse.Namespace, shown: dict[str, Any]) -> int:
    verbs: dict[str, Callable[[Job], Awaitable[int]]] = {
        "run": _dry_run if arguments.dry_run else _run,
        "verify": _verify,
        "clean": _clean,
    }
    try:
        if arguments.what == "status":
            return _status(wanted, shown, as_json=arguments.json)
        job = _job(wanted, arguments)
        if arguments.what == "list":
            return _list(job, shown, as_json=arguments.json)
        return asyncio.run(_until_told(verbs[arguments.what](job)))
    except BadCredentials as error:
        return _complain(UNUSABLE, str(error))
    except LookupError as error:
        return _complain(UNUSABLE, str(error.args[0]))
    except OSError as error:
        return _complain(UNUSABLE, f"{error.filename}: {error.strerror}; see its permissions")
    except Busy as error:
        return _complain(REFUSED, str(error))
    except (DriverFailed, StepFailed, Unreadable) as error:
        return _complain(FAILED, f"{wanted.resource}: {error}")


def _job(wanted: Configured, arguments: argparse.Namespace) -> Job:
    def tell(sentence: str) -> None:
        print(f"{wanted.resource}: {redacted(sentence)}", flush=True)

    drbd = load_drbd(wanted.drbd_conf).config
    return Job(
        resource=wanted.resource,
        node=node(drbd, wanted.resource, wanted.drbd_conf),
        settings=wanted.settings,
        driver=driver(wanted.settings, environment(wanted.settings)),
        here=arguments.here,
        tell=tell,
    )


async def _until_told(work: Awaitable[int]) -> int:
    """SIGTERM cancels it, once: what is undone then is not interrupted by a second one."""
    task = asyncio.ensure_future(work)
    told = False

    def end() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return await task


async def _run(job: Job) -> int:
    with held(job.resource):
        record.append(job.resource, Record(event=Event.BEGUN, at=job.clock(), node=job.node.name))
        try:
            ended = await back_up(job)
        except asyncio.CancelledError:
            why = "it was told to end, and has undone what it had begun"
            ended = Record(event=Event.FAILED, at=job.clock(), node=job.node.name, why=why)
        record.append(job.resource, ended.redacted)
    return _told(job, ended)


async def _verify(job: Job) -> int:
    with held(job.resource):
        ended = await verify(job)
        record.append(job.resource, ended.redacted)
    return _told(job, ended)


def _told(job: Job, ended: Record) -> int:
    status = _STATUS.get(ended.event, FAILED)
    if status == DONE:
        job.tell(backup_text.ended(ended))
        return DONE
    return _complain(status, f"{job.resource}: {ended.event.value}: {ended.why}")


async def _dry_run(job: Job) -> int:
    decision, seen = await plan(job)
    match decision:
        case Refuse(why):
            for each in why:
                _complain(REFUSED, f"{job.resource}: would be refused: {each}")
            return REFUSED
        case Leave(because):
            job.tell(f"would be left to the peer: {because}")
        case Go():
            for each in backup_text.steps(decision, seen, job.settings):
                job.tell(each)
    return DONE


async def _clean(job: Job) -> int:
    with held(job.resource):
        job.tell(f"{await clean(job.resource, job.run, job.tell)} snapshots of killed runs removed")
    return DONE


def _list(job: Job, shown: dict[str, Any], *, as_json: bool) -> int:
    found = asyncio.run(archives(job))
    if as_json:
        shown[job.resource] = [{"archive": each.name, "at": each.at, "node": each.node} for each in found]
    else:
        print("\n".join(backup_text.listed(job.resource, found, time.time())))
    return DONE


def _status(wanted: Configured, shown: dict[str, Any], *, as_json: bool) -> int:
    records, unread = record.load(wanted.resource)
    running = holder(wanted.resource) is not None
    found = health(records, unread, wanted.settings.max_age, time.time(), running=running)
    if as_json:
        shown[wanted.resource] = backup_text.as_json(found)
    else:
        print("\n".join(backup_text.status(wanted.resource, wanted.settings, found)))
    return int(bool(found.alarms))


def _complain(status: int, why: str) -> int:
    print(f"drbdctl backup: {redacted(why)}", file=sys.stderr)
    return status
