"""Reads `storage` blocks: each becomes a drbdctl.settings.Storage, or is refused with all that is wrong in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from drbdctl.drbd_conf import load
from drbdctl.drbd_conf.model import Config as DrbdConfig
from drbdctl.failover.group import (
    Deadlines,
    Group,
    GroupResource,
    Limits,
    Mount,
    OnDemoteFailure,
    Policy,
    Service,
    Takeover,
)
from drbdctl.settings import Export, Nfs, Program, Runnable, Storage, Unit
from drbdctl.status.ask import CONFIG
from drbdctl.storage_block.keywords import DEADLINES, STORAGE
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean

_LONGEST = 3600.0
_Choice = TypeVar("_Choice", Takeover, OnDemoteFailure)
_NFS_OPTIONS = ("rw", "sync", "no_subtree_check")


def read(
    config: Config, diagnostics: Diagnostics, load_drbd: Callable[[str], DrbdConfig] | None = None
) -> list[Storage]:
    """Every storage block of a configuration; one that can't be run is left out, its errors are fatal."""
    found: dict[str, Storage] = {}
    for block in (each for each in config.plugin_blocks if each.name == STORAGE):
        storage = _Reader(block, config, diagnostics, load_drbd or _load).read()
        if storage is None:
            continue
        if storage.name in found:
            message = f"{STORAGE} {storage.name}: the name is taken already by {found[storage.name].position}"
            diagnostics.error(block.position, "duplicate-name", message, "give it another name", fatal=True)
            continue
        found[storage.name] = storage
    return list(found.values())


def _load(path: str) -> DrbdConfig:
    return load(path).config


class _Reader:
    """One block."""

    def __init__(
        self, block: Statement, config: Config, diagnostics: Diagnostics, load_drbd: Callable[[str], DrbdConfig]
    ) -> None:
        self._name = block.arguments[0].text
        self._block = block
        self._config = config
        self._load_drbd = load_drbd
        self._refused = False
        self._values = Values(f"{STORAGE} {self._name}", block.body or (), diagnostics, block.position)

    def read(self) -> Storage | None:
        values = self._values
        instance = self._instance(values.word("vrrp_instance"))
        networks = tuple(self._instance(word) for line in values.all("networks") for word in line.arguments)
        mounts = tuple(self._mount(line) for line in values.all("mount"))
        services = tuple(self._services(mounts))
        group = Group(
            name=self._name,
            resources=tuple(self._resources()),
            mounts=mounts,
            services=tuple(Service(each.name, not isinstance(each, Program) or bool(each.check)) for each in services),
            policy=self._policy(),
            deadlines=self._deadlines(),
            limits=self._limits(),
        )
        if len({each.name for each in services}) < len(services):
            self._refuse(self._block, "duplicate-name", "two of its services have the same name", "rename one")
        witness = self._witness()
        if self._refused:
            return None
        return Storage(
            group=group,
            instance=instance,
            networks=networks,
            services=services,
            witness=witness,
            drbd_conf=self._values.text("drbd_conf") or CONFIG,
            position=self._block.position,
        )

    def _refuse(self, at: Statement | Word, code: str, message: str, hint: str = "") -> None:
        self._refused = True
        self._values.error(at.position, code, message, hint, fatal=True)

    # --- whom it follows ---------------------------------------------------------------------------------------------

    def _instance(self, word: Word | None) -> str:
        names = [each.name for each in self._config.instances]
        if word is None:
            hint = f"add 'vrrp_instance {names[0] if len(names) == 1 else 'NAME'}'"
            self._refuse(self._block, "missing-keyword", "it follows no vrrp_instance", hint)
            return ""
        if word.text not in names:
            near = did_you_mean(word.text, names)
            hint = f"did you mean '{near}'?" if near else f"there are: {', '.join(names) or 'none'}"
            self._refuse(word, "undefined-name", f"there is no vrrp_instance {word}", hint)
        return word.text

    def _resources(self) -> Iterator[GroupResource]:
        values = self._values
        words = [word for line in values.all("drbd_resource") for word in line.arguments]
        if not words:
            self._refuse(self._block, "missing-keyword", "it has no drbd_resource", "add 'drbd_resource NAME'")
            return
        path = values.text("drbd_conf") or CONFIG
        try:
            config = self._load_drbd(path)
        except OSError as error:
            hint = "install drbd-utils and configure the resource, or name the file with drbd_conf"
            self._refuse(words[0], "no-drbd-conf", f"{path}: {error.strerror}", hint)
            return
        known = {each.name: each for each in config.resources}
        for word in words:
            if word.text not in known:
                near = did_you_mean(word.text, known)
                hint = f"did you mean '{near}'?" if near else f"it has: {', '.join(known) or 'none'}"
                self._refuse(word, "undefined-name", f"{path} has no resource {word}", hint)
                continue
            host = os.uname().nodename
            try:
                yield GroupResource.read(config, known[word.text], host)
            except KeyError:
                hint = "an 'on' section has to name what `uname -n` says"
                self._refuse(word, "not-this-host", f"resource {word} of {path} is not on this host, {host}", hint)

    # --- what is done ------------------------------------------------------------------------------------------------

    def _mount(self, line: Statement) -> Mount:
        device, point = (word.text for word in line.arguments)
        inner = self._inner("mount", line)
        for word in line.arguments:
            self._absolute(word)
        return Mount(device, os.path.normpath(point), inner.text("fstype") or "", inner.text("options") or "")

    def _services(self, mounts: Sequence[Mount]) -> Iterator[Runnable]:
        """In the order of the block."""
        for line in self._block.body or ():
            match line.name:
                case "nfs":
                    yield self._nfs(line, mounts)
                case "systemd_unit":
                    for word in line.arguments:
                        yield Unit(name=word.text if "." in word.text else f"{word.text}.service")
                case "command":
                    yield self._program(line)
                case _:
                    pass

    def _program(self, line: Statement) -> Program:
        name = line.arguments[0].text
        inner = self._inner(f"command {name}", line)
        for keyword in ("start", "stop"):
            if not inner.has(keyword):
                self._refuse(
                    line, "missing-keyword", f"command {name} has no {keyword}", f"add '{keyword} /path/to/it'"
                )
        start, stop, check = (self._argv(inner.last(keyword)) for keyword in ("start", "stop", "check"))
        return Program(name=name, start=start, stop=stop, check=check)

    def _argv(self, line: Statement | None) -> tuple[str, ...]:
        """The words of a command; one word in quotes is split as a shell would."""
        if line is None:
            return ()
        words = [word.text for word in line.arguments]
        try:
            argv = tuple(shlex.split(words[0]) if len(words) == 1 else words)
        except ValueError as error:
            self._refuse(line, "bad-command", f"'{line.name}': {error}", "close the quotes")
            return ()
        if not argv or not argv[0].startswith("/"):
            self._refuse(
                line, "relative-path", f"'{line.name} {' '.join(words)}' does not begin with /", "write the path"
            )
        return argv

    def _nfs(self, line: Statement, mounts: Sequence[Mount]) -> Nfs:
        inner = self._inner("nfs", line)
        state_dir = inner.word("state_dir")
        if state_dir is None:
            point = mounts[0].point if mounts else "/mnt/data"
            hint = f"add 'state_dir {point}/.nfs', on the replicated volume"
            self._refuse(line, "missing-keyword", "nfs has no state_dir: its clients would lose their locks", hint)
        elif self._absolute(state_dir) and not _below(state_dir.text, mounts):
            hint = "the client database has to move with the volume"
            self._refuse(state_dir, "not-on-volume", f"state_dir {state_dir} is on no mount of this block", hint)
        exports = tuple(self._export(each, mounts) for each in inner.all("export"))
        if not exports:
            self._refuse(line, "missing-keyword", "nfs exports nothing", "add 'export DIRECTORY { client ... fsid 1 }'")
        if inner.has("nfsv4_only") and inner.has("version3"):
            hint = "keep one of them; without either it is NFSv4 only"
            self._refuse(line, "contradiction", "nfs has both nfsv4_only and version3", hint)
        fsids = [each.fsid for each in exports]
        if len(set(fsids)) < len(fsids):
            self._refuse(line, "duplicate-fsid", "two exports have the same fsid", "give each one of its own")
        return Nfs(
            state_dir=state_dir.text if state_dir else "",
            exports=exports,
            scope=inner.text("scope") or f"storage-{self._name}".lower(),
            version3=inner.switch("version3", False),
            lease=inner.number("lease", 10, 3600, 30),
            threads=inner.number("threads", 1, 1024, 8),
        )

    def _export(self, line: Statement, mounts: Sequence[Mount]) -> Export:
        word = line.arguments[0]
        inner = self._inner(f"export {word}", line)
        mount = _below(word.text, mounts)
        if self._absolute(word) and mount is None:
            hint = "mount its file system in this block; what is not on a replicated volume is exported by /etc/exports"
            self._refuse(word, "not-on-volume", f"export {word} is on no mount of this block", hint)
        clients = tuple(each.text for client in inner.all("client") for each in client.arguments)
        if not clients:
            self._refuse(line, "missing-keyword", f"export {word} has no client", "add 'client 192.0.2.0/24'")
        fsid = inner.text("fsid")
        if fsid is None:
            hint = "add 'fsid 1', the same on both nodes: without it clients get stale handles after a move"
            self._refuse(line, "missing-keyword", f"export {word} has no fsid", hint)
        options = tuple((inner.text("options") or ",".join(_NFS_OPTIONS)).split(","))
        for option in options:
            if option.partition("=")[0] in ("fsid", "mountpoint", "mp"):
                at = inner.last("options") or line
                self._refuse(at, "bad-option", f"export {word}: '{option}' among the options", "it is added: remove it")
        point = mount.point if mount else ""
        return Export(directory=word.text, clients=clients, options=options, fsid=fsid or "", mount_point=point)

    # --- how careful -------------------------------------------------------------------------------------------------

    def _policy(self) -> Policy:
        values, default = self._values, Policy()
        return Policy(
            takeover=self._choice("takeover", Takeover, default.takeover),
            asynchronous_takeover=values.switch("asynchronous_takeover", default.asynchronous_takeover),
            on_demote_failure=self._choice("on_demote_failure", OnDemoteFailure, default.on_demote_failure),
            end_holders=values.switch("end_holders", default.end_holders),
            minimum_up_to_date=values.number("minimum_up_to_date", 1, 32, default.minimum_up_to_date),
            promote_while_syncing=values.switch("promote_while_syncing", default.promote_while_syncing),
            witness=values.has("witness"),
            dead_interval=values.seconds("dead_interval", 0.1, _LONGEST, default.dead_interval),
            isolation_interval=values.seconds("isolation_interval", 0.1, _LONGEST, default.isolation_interval),
            fail_back_delay=values.seconds("fail_back_delay", 0, _LONGEST, default.fail_back_delay),
        )

    def _choice(self, name: str, kind: type[_Choice], default: _Choice) -> _Choice:
        word = self._values.word(name)
        if word is None:
            return default
        known = {each.value: each for each in kind}
        if word.text not in known:
            near = did_you_mean(word.text, known)
            hint = f"did you mean '{near}'?" if near else f"write {' or '.join(known)}"
            self._refuse(word, "bad-value", f"'{name} {word}' means nothing", hint)
            return default
        return known[word.text]

    def _deadlines(self) -> Deadlines:
        line = self._values.last("deadlines")
        if line is None:
            return Deadlines()
        inner, default = self._inner("deadlines", line), Deadlines()
        seconds = {name: inner.seconds(name, 0.1, _LONGEST, getattr(default, name)) for name in DEADLINES}
        return replace(default, **seconds)

    def _limits(self) -> Limits:
        values, default = self._values, Limits()
        return replace(
            default,
            takeovers=values.number("most_takeovers", 0, 1000, default.takeovers),
            period=values.seconds("takeover_period", 1, 86400, default.period),
            failures=values.number("most_failures", 0, 1000, default.failures),
        )

    def _witness(self) -> tuple[str, ...]:
        """`witness ping ADDRESS`, or `witness command /path ARGUMENT ...`."""
        line = self._values.last("witness")
        if line is None:
            return ()
        kind, *rest = (word.text for word in line.arguments)
        match kind:
            case "ping":
                return ("ping", *rest)
            case "command" if rest[0].startswith("/"):
                return ("command", *rest)
            case _:
                self._refuse(
                    line, "bad-value", f"'witness {kind}' means nothing", "write ping ADDRESS or command /PATH"
                )
                return ()

    # --- small ones --------------------------------------------------------------------------------------------------

    def _inner(self, what: str, line: Statement) -> Values:
        return Values(f"{STORAGE} {self._name}: {what}", line.body or (), self._values.diagnostics, line.position)

    def _absolute(self, word: Word) -> bool:
        if not word.text.startswith("/"):
            self._refuse(word, "relative-path", f"'{word}' does not begin with /", "write the whole path")
            return False
        return True


def _below(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that a path is on: of several the innermost."""
    inside = [each for each in mounts if path == each.point or path.startswith(f"{each.point}/")]
    return max(inside, key=lambda each: len(each.point), default=None)
