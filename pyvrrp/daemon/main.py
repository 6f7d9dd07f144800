"""The daemon's life: configuration, privileges, loop, signals, reload, end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from pyvrrp.config.diagnostics import Diagnostics, Severity
from pyvrrp.config.load import Loaded, load
from pyvrrp.config.model import Config
from pyvrrp.daemon import plugins as plugin_registry
from pyvrrp.daemon.continuity import Continuity
from pyvrrp.daemon.control import ControlServer, Refused, status_method
from pyvrrp.daemon.heartbeat import GuardChannel, Heartbeat, adoption_time, connect, guard_timeout
from pyvrrp.daemon.journal import Journal
from pyvrrp.daemon.options import SIGNALS, ExitStatus, RunOptions
from pyvrrp.daemon.pidfile import AlreadyRunning, PidFile
from pyvrrp.daemon.plugins import CommandRefused, Plugin
from pyvrrp.daemon.restart import obstacle
from pyvrrp.daemon.run_directory import Unusable, control_socket, journal, pid_files, prepare
from pyvrrp.daemon.speaker import Speaker
from pyvrrp.daemon.systemd import Systemd
from pyvrrp.host.capabilities import MissingCapability, missing
from pyvrrp.host.namespace import enter_namespace
from pyvrrp.host.scheduling import schedule

if TYPE_CHECKING:  # what tells of the daemon is loaded when it advertises
    from pyvrrp.daemon.status import DaemonStatus
    from pyvrrp.daemon.telling import Telling

_LOG = logging.getLogger("pyvrrp")
_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.NOTE: logging.INFO}


class CannotRun(Exception):
    """The daemon does not start; the text is one line, `status` the exit status."""

    def __init__(self, status: ExitStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def run(options: RunOptions) -> int:
    """Run until told to stop; returns the exit status. Raises Unusable (a file or directory)."""
    guard = connect()
    with contextlib.ExitStack() as undo:
        try:
            plugins = plugin_registry.load() if options.plugins else []
            loaded = _load(options, plugins)
            _refuse_what_cannot_run(loaded, options)
            if namespace := options.net_namespace or loaded.config.globals.net_namespace:
                enter_namespace(namespace)
            if lacking := missing():
                raise CannotRun(ExitStatus.MISSING_PERMISSION, str(MissingCapability(*lacking)))
            for pid_file in _pid_files(options, loaded.config.globals.instance, guard):
                pid_file.acquire()
                undo.callback(pid_file.release)
            if guard is None or not guard.adopt:  # that one is in a hurry
                schedule(loaded.config.globals.scheduling)
            return _run_loop(Daemon(options, loaded, plugins, guard))
        except AlreadyRunning as running:
            _LOG.log(logging.INFO if options.keepalived_form else logging.ERROR, "%s", running)
            return ExitStatus.OK if options.keepalived_form else ExitStatus.FATAL
        except CannotRun as refused:
            _LOG.error("%s", refused)
            return refused.status


def _load(options: RunOptions, plugins: Sequence[Plugin]) -> Loaded:
    """Read the file; the findings of the plugins about their own blocks are among the diagnostics."""
    try:
        loaded = load(str(options.config_file), config_id=options.config_id, plugins=plugins)
    except OSError as error:
        text = f"{options.config_file}: {error.strerror}; name another file with -f"
        raise CannotRun(ExitStatus.NO_CONFIG, text) from error
    for plugin in plugins:
        plugin.configure(loaded.config, loaded.diagnostics)
    return loaded


def _refuse_what_cannot_run(loaded: Loaded, options: RunOptions) -> None:
    _log_diagnostics(loaded.diagnostics)
    if fatal := loaded.diagnostics.fatal:
        raise CannotRun(
            ExitStatus.CONFIG, f"{options.config_file}: can't be run, {len(fatal)} errors above; see `pyvrrp check`"
        )
    if not options.vrrp:
        text = "-C asks for the checkers alone, and there is nothing to check for yet; leave it out, or add -P"
        raise CannotRun(ExitStatus.CONFIG, text)


def _log_diagnostics(diagnostics: Diagnostics) -> None:
    for found in diagnostics:
        _LOG.log(_LEVELS[found.severity], "%s", found)


def _pid_files(options: RunOptions, instance: str | None, guard: GuardChannel | None) -> list[PidFile]:
    """Those of this process; that of the first process is the guard's, which gets it locked at the first start."""
    first, vrrp = pid_files(options.run_dir, instance, keepalived_form=options.keepalived_form)
    if not options.keepalived_form and options.pid_file is None:
        prepare(options.run_dir)
    ours = [PidFile(options.pid_file or first)]
    if guard is not None:
        for pid_file in ours if guard.restarts == 0 else ():
            pid_file.acquire(guard.pid)
            guard.keep(pid_file)
        ours.clear()
    return [*ours, *(PidFile(path) for path in (options.vrrp_pid_file or vrrp,) if path is not None)]


def _run_loop(daemon: Daemon) -> int:
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(daemon.run())


class Daemon:
    """One run of the daemon on one loop."""

    def __init__(
        self, options: RunOptions, loaded: Loaded, plugins: Sequence[Plugin], guard: GuardChannel | None = None
    ) -> None:
        self.options = options
        self.guard = guard
        self.speaker = Speaker(loaded.config, plugins=plugins)
        self.systemd = Systemd() if guard is None else Systemd(relay=lambda text: guard.tell(notify=text))
        self._plugins = plugins
        self._stop = asyncio.Event()
        self._restarting = False
        self._reload = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: Telling | None = None
        self._findings = loaded.diagnostics.counted
        self._works = False

    async def run(self) -> int:
        """Start, serve until a signal says stop, leave."""
        settings = self.speaker.config.globals
        control = ControlServer(
            control_socket(self.options.run_dir, settings.instance),
            {
                "status": status_method(self.status),
                "switchover": self.switchover,
                "restart": self.restart,
                "plugin": self.plugin,
                "metrics": self.metrics,
            },
        )
        self._handle_signals()
        await control.start()
        try:
            async with self._reload:  # it waits
                await self._start()
            gc.collect()
            gc.freeze()  # what lives until the end is not looked at again: a collection takes 0.2 ms instead of 10
            self.systemd.ready(f"{len(self.speaker.instances)} virtual routers")
            self.options.on_up()
            if self.options.dump_config:
                await self._dump("DATA")
            await self._until_stopped()
            if self._restarting:
                await self._leave_to_successor(control)
            self.systemd.stopping()
            await self.speaker.stop(keep_addresses=self.options.keep_addresses)
            self.speaker.journal.close(forget=not self.options.keep_addresses)
            _LOG.info("stopped")
        finally:
            if self._telling is not None:
                await self._telling.stop()
            await control.stop()
        return ExitStatus.PROGRAM_ERROR if self.speaker.broken.is_set() else ExitStatus.OK

    async def _start(self) -> None:
        self._open_journal()
        self.speaker.on_adopted = self._begin_heartbeat
        try:
            await self.speaker.start()
        except (MissingCapability, OSError) as error:
            status = ExitStatus.MISSING_PERMISSION if isinstance(error, MissingCapability) else ExitStatus.FATAL
            raise CannotRun(status, str(error)) from error
        self._begin_heartbeat()
        from pyvrrp.daemon.telling import Telling

        self._telling = Telling(self.speaker, str(self.options.config_file), self.guard, self._findings)
        await self._telling.listen()

    async def _until_stopped(self) -> None:
        reasons = [asyncio.ensure_future(event.wait()) for event in (self._stop, self.speaker.broken)]
        await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        for reason in reasons:
            reason.cancel()

    # --- the guard ---------------------------------------------------------------------------------------------------

    def _open_journal(self) -> None:
        settings = self.speaker.config.globals
        path = journal(self.options.run_dir, settings.instance)
        self.speaker.journal = Journal.open(path, self.options.net_namespace or settings.net_namespace)
        if self.guard is not None:
            self.guard.tell(journal=str(path))
            self.speaker.adopt = self.guard.adopt
            if self.guard.stored is not None:
                self.speaker.continuity = Continuity(self.guard.store, self.guard.stored)

    def _begin_heartbeat(self) -> None:
        """Tell the guard that the speaker works, the first time."""
        if self._works:
            return
        self._works = True
        timers, guard, watchdog = self.speaker.node.timers, self.guard, self.systemd.watchdog_interval
        if guard is not None:
            guard.end_hurry()
            guard.tell(ready=[guard_timeout(self.speaker.config), adoption_time(self.speaker.config)])

            def beat(seconds: float) -> None:
                guard.tell(beat=seconds)
                self.speaker.continuity.update()  # what the guard's queue had no room for

            Heartbeat(timers, lambda: guard_timeout(self.speaker.config), beat).start(self.speaker.clock())
        elif watchdog is not None:
            Heartbeat(timers, lambda: 2 * watchdog, lambda _: self.systemd.watchdog()).start(self.speaker.clock())
        schedule(self.speaker.config.globals.scheduling)  # the threads too

    def restart(self, _: Mapping[str, object]) -> Mapping[str, object]:
        """The control method `restart`: leave without a word, for a process with other code that adopts the role."""
        self._tells()
        if self.guard is None:
            raise Refused("it runs without a guard, which would start it again; stop it and start it")
        if why := obstacle(self.speaker.instances.values()):
            raise Refused(why)
        self._restarting = True
        self._stop.set()
        return {"pid": os.getpid()}

    async def _leave_to_successor(self, control: ControlServer) -> NoReturn:
        """End as if killed, but with nothing half done: the journal and the kernel have all that is to be adopted."""
        await self.speaker.settle()
        self.speaker.continuity.update()
        await control.stop()
        _LOG.info("restarting")
        os._exit(ExitStatus.RESTART)

    # --- requests ----------------------------------------------------------------------------------------------------

    async def plugin(self, parameters: Mapping[str, object]) -> object:
        """The control method `plugin`: `plugin` names it, `words` is its command."""
        name, words = parameters.get("plugin"), parameters.get("words", [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise Refused("`words` is a list of strings")
        self._tells()
        try:
            return await self.speaker.services.command(str(name), words)
        except CommandRefused as refused:
            raise Refused(str(refused)) from None

    def switchover(self, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """The control method `switchover`: `instances` names them, none means all that are MASTER here."""
        self._tells()
        named = parameters.get("instances", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise Refused("`instances` is a list of names")
        try:
            leaving = self.speaker.switchover(named)
        except KeyError as unknown:
            raise Refused(f"there is no vrrp_instance {unknown.args[0]}; `pyvrrp status` lists them") from None
        if not leaving:
            raise Refused("nothing to hand over: this node is not MASTER of " + (", ".join(named) or "anything"))
        return {"handing_over": leaving}

    async def status(self) -> DaemonStatus:
        """The snapshot that `pyvrrp status` shows; raises Refused."""
        return await self._tells().status()

    async def metrics(self, parameters: Mapping[str, object]) -> str:
        """The control method `metrics`: the text that Prometheus reads; `openmetrics` true: that of OpenMetrics."""
        return await self._tells().metrics(openmetrics=parameters.get("openmetrics") is True)

    def _tells(self) -> Telling:
        """What tells of the daemon, once it runs; raises Refused."""
        if self._telling is None:
            raise Refused("the daemon is starting; ask again")
        return self._telling

    # --- signals -----------------------------------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        actions: Mapping[int, Callable[[], None]] = {
            signal.SIGTERM: self._stop.set,
            signal.SIGINT: self._stop.set,
            SIGNALS["RELOAD"]: lambda: self._spawn(self.reload()),
            SIGNALS["DATA"]: lambda: self._spawn(self._dump("DATA")),
            SIGNALS["STATS"]: lambda: self._spawn(self._dump("STATS")),
            SIGNALS["JSON"]: lambda: self._spawn(self._dump("JSON")),
            SIGNALS["STATS_CLEAR"]: lambda: self._spawn(self._dump("STATS", clear=True)),
        }
        for number, action in actions.items():
            loop.add_signal_handler(number, action)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a request by signal failed", exc_info=error)

    async def _dump(self, what: str, *, clear: bool = False) -> None:
        from pyvrrp.daemon.dump import Dump, dump

        try:
            path = await asyncio.to_thread(dump, Dump[what], await self.status(), self.speaker.config)
        except (Unusable, Refused) as error:
            _LOG.error("%s", error)
            return
        _LOG.info("wrote %s", path)
        if clear:
            for instance in self.speaker.instances.values():
                instance.statistics.clear()

    # --- reload ------------------------------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Read the file again and take over what changed; a file that can't be run changes nothing."""
        async with self._reload:
            if self._telling is None or self._stop.is_set():
                return
            self.systemd.reloading()
            ok, detail = await self._try_reload()
            _LOG.log(logging.INFO if ok else logging.ERROR, "reload: %s", detail)
            await self._telling.reloaded(self._findings, ok=ok, detail=detail)
            self.systemd.ready(f"reload: {detail}")

    async def _try_reload(self) -> tuple[bool, str]:
        try:
            loaded = await asyncio.to_thread(_load, self.options, self._plugins)
            _refuse_what_cannot_run(loaded, self.options)
        except CannotRun as refused:
            return False, f"{refused}; the running configuration stays"
        if (fixed := _fixed(self.speaker.config)) != _fixed(loaded.config):
            return False, f"{fixed} can't change while running; restart instead; the running configuration stays"
        schedule(loaded.config.globals.scheduling)
        done = await self.speaker.reload(loaded.config)
        self._findings = loaded.diagnostics.counted
        return True, str(done)


def _fixed(config: Config) -> str:
    """What a reload can't change (keepalived), as text."""
    return f"net_namespace {config.globals.net_namespace}, instance {config.globals.instance}"
