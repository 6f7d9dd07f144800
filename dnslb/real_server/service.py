"""The local_real_server blocks at work: leases on lo renewed, withdrawn when a check fails, traps looked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dnslb.real_server.block import LocalRealServer
from dnslb.real_server.examine import examine
from dnslb.real_server.findings import Finding
from dnslb.real_server.holdings import LEASE, Claim, Holdings
from dnslb.real_server.redirect import Rule
from pyvrrp.core.events import IPAddress
from pyvrrp.core.tracking import Tracker
from pyvrrp.daemon.plugins import Report, TrackerSpec

RENEWAL = LEASE / 3
"seconds between two renewals of the leases"
EXAMINATION = 15.0
"seconds between two examinations of the node"
FIRST_EXAMINATION = 3.0
"seconds until the first one: a server that rescans its interfaces has found the VIP by then"

_LOG = logging.getLogger("dnslb")


class RealServerService:
    """Of one configuration; the plugin's service starts, stops and shows it."""

    def __init__(self, blocks: Sequence[LocalRealServer], holdings: Holdings, checks: Sequence[TrackerSpec]) -> None:
        """`holdings` is the plugin's, the same for each configuration; `checks` are all vrrp_dns_checks."""
        self._blocks = blocks
        self._holdings = holdings
        tracked = {name for block in blocks for name in block.tracks}
        self._trackers = {
            spec.name: Tracker(spec.kind, spec.name, rise=spec.rise, fall=spec.fall)
            for spec in checks
            if spec.name in tracked
        }
        self._reversed = {spec.name: spec.reverse for spec in checks}
        self.trackers: Sequence[TrackerSpec] = [
            replace(spec, run=_Tapped(spec, self)) if spec.name in tracked else spec for spec in checks
        ]
        "the checks, to be run in place of those given: their results come here too"
        self._changed = asyncio.Event()
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self._findings: list[Finding] = []
        self._problem = ""

    @property
    def undo(self) -> Sequence[Sequence[str]]:
        """The commands that give back what is held when the daemon can't: addresses, then settings."""
        vips = [str(vip) for block in self._blocks if not block.redirect for vip in block.vips]
        return [[sys.executable, "-m", "dnslb.real_server", "remove", "--daemon", *vips]] if vips else []

    async def start(self) -> None:
        """Begin; what the process before has left on lo stays where it is."""
        if self._blocks:
            self._tasks = [asyncio.create_task(self._hold()), asyncio.create_task(self._look_for_traps())]

    async def stop(self) -> None:
        """Give back what no other service of this daemon holds."""
        if not self._tasks:
            return
        hold, look = self._tasks
        self._ending = True
        self._changed.set()
        look.cancel()
        await hold  # not cancelled: its thread would go on, and put back what we take off here
        try:
            self._tell(await self._holdings.leave(self))
        except OSError as error:
            _LOG.error("%s: %s; what is left on lo goes with its lease", _named(self._blocks), _why(error))

    def heard(self, name: str, ok: bool, detail: str, *, broken: bool = False) -> None:
        """Take the result of a check."""
        if self._trackers[name].report(ok, detail, time.monotonic(), broken=broken):
            self._changed.set()

    def status(self) -> Mapping[str, object]:
        """JSON-ready: `blocks` with their addresses and state, `findings`, and `problem`: what could not be done."""
        return {
            "blocks": [
                {
                    "virtual_ipaddress": [str(vip) for vip in block.vips],
                    "ports": list(block.ports),
                    "redirect": block.redirect,
                    "state": {True: "held", False: "withdrawn", None: "undecided"}[self._healthy(block)],
                    "checks": {name: self._trackers[name].detail for name in block.tracks},
                }
                for block in self._blocks
            ],
            "findings": [
                {"subject": each.subject, "code": each.code, "text": each.text, "hint": each.hint}
                for each in self._findings
            ],
            "problem": self._problem,
        }

    def _healthy(self, block: LocalRealServer) -> bool | None:
        """Whether every check says so; None: some have not said anything yet, and none is bad."""
        found = {self._trackers[name].healthy(reverse=self._reversed[name]) for name in block.tracks}
        return False if False in found else None if None in found else True

    def _claim(self) -> Claim:
        on_lo: dict[bool | None, set[IPAddress]] = {True: set(), False: set(), None: set()}
        redirects: dict[bool | None, set[Rule]] = {True: set(), False: set(), None: set()}
        for block in self._blocks:
            health = self._healthy(block)
            if block.redirect:
                redirects[health].update((vip, port) for vip in block.vips for port in block.ports)
            else:
                on_lo[health].update(block.vips)
        return Claim(
            wanted=frozenset(on_lo[True]),
            undecided=frozenset(on_lo[None]),
            withdrawn=frozenset(on_lo[False]),
            redirects=frozenset(redirects[True]),
            undecided_redirects=frozenset(redirects[None]),
        )

    async def _hold(self) -> None:
        while not self._ending:
            self._changed.clear()
            try:
                self._tell(await self._holdings.tend(self, self._claim()))
                self._problem = ""
            except Exception as error:
                problem = _why(error)
                if problem != self._problem:
                    _LOG.error("%s: %s; trying again every %.0f s", _named(self._blocks), problem, RENEWAL)
                self._problem = problem
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEWAL):
                    await self._changed.wait()

    async def _look_for_traps(self) -> None:
        await asyncio.sleep(FIRST_EXAMINATION)
        told = ""
        while True:
            try:
                self._note(await asyncio.to_thread(self._examine))
                told = ""
            except Exception as error:
                if (why := _why(error)) != told:
                    _LOG.error("%s: can't look for traps: %s", _named(self._blocks), why)
                told = why
            await asyncio.sleep(EXAMINATION)

    def _examine(self) -> list[Finding]:
        return [
            finding
            for block in self._blocks
            if self._healthy(block)
            for finding in examine(block.vips, block.ports, redirect=block.redirect)
        ]

    def _note(self, findings: list[Finding]) -> None:
        """Log what is new and what has gone; numbers in a finding may change without making it another."""
        before, now = ({(each.subject, each.code): each for each in some} for some in (self._findings, findings))
        for key in now.keys() - before.keys():
            _LOG.warning("%s", now[key])
        for subject, code in before.keys() - now.keys():
            _LOG.info("%s: [%s] is no more", subject, code)
        self._findings = findings

    def _tell(self, lines: Sequence[str]) -> None:
        for line in lines:
            _LOG.info("%s", line)


class _Tapped:
    """A check whose results are heard by the service on their way to the daemon."""

    def __init__(self, spec: TrackerSpec, service: RealServerService) -> None:
        self._spec = spec
        self._service = service

    async def __call__(self, report: Report) -> None:
        def both(ok: bool, detail: str) -> None:
            self._service.heard(self._spec.name, ok, detail)
            report(ok, detail)

        try:
            await self._spec.run(both)
        except Exception as error:
            self._service.heard(self._spec.name, False, f"{type(error).__name__}: {error}", broken=True)
            raise


def _why(error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"unexpected {type(error).__name__}: {error}"
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or error}"


def _named(blocks: Sequence[LocalRealServer]) -> str:
    return ", ".join(str(vip) for block in blocks for vip in block.vips)
