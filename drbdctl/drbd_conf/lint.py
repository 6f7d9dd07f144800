"""What a drbd.conf allows that an operator would not want: split-brain policies, fencing, clashes between resources.

The defaults and the judgement are those of drbd.conf(5) and of the safety rules in docs/drbdctl.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from drbdctl.drbd_conf.model import Config, Connection, Host, Naming, Options, Resource, Settings
from pyvrrp.config.diagnostics import Diagnostics, Position

WILD = {
    "after-sb-0pri": frozenset(
        {"discard-younger-primary", "discard-older-primary", "discard-least-changes", "discard-local", "discard-remote"}
    ),
    "after-sb-1pri": frozenset({"discard-secondary", "violently-as0p", "call-pri-lost-after-sb"}),
    "after-sb-2pri": frozenset({"violently-as0p", "call-pri-lost-after-sb"}),
    "rr-conflict": frozenset({"violently", "call-pri-lost", "auto-discard"}),
}
"policies that throw away somebody's writes, or the node that has them, without being asked"
_TAME = {
    "after-sb-0pri": "discard-zero-changes",
    "after-sb-1pri": "consensus",
    "after-sb-2pri": "disconnect",
    "rr-conflict": "disconnect",
}


def lint(config: Config, diagnostics: Diagnostics) -> None:
    """Report what the file says wrongly, on any machine."""
    for resource in config.resources:
        at = resource.origin.position
        settings = config.effective(resource)
        _fencing(resource, settings, at, diagnostics)
        _startup(settings.startup, diagnostics)
        _resync(settings.disk, at, diagnostics)
        for options in _nets(config, resource):
            _split_brain(options, diagnostics)
            _protocol(resource, options, at, diagnostics)
            _secret(options, diagnostics)
            _timeouts(options, at, diagnostics)
        if not settings.handlers.get("split-brain"):
            diagnostics.note(
                at,
                "no-split-brain-handler",
                f"{resource.name}: nobody is told of a split brain",
                "set handlers { split-brain }",
            )
        _hosts(resource, diagnostics)
    _resync_order(config, diagnostics)
    _clashes(config, diagnostics)


def _resync_order(config: Config, to: Diagnostics) -> None:
    names = {resource.name for resource in config.resources}
    for resource in config.resources:
        after = config.effective(resource).disk.get("resync-after")
        if after is not None and after.value.partition("/")[0] not in names:
            to.error(
                after.position,
                "unknown-resource",
                f"resync-after: there is no resource {after.value.partition('/')[0]}",
                "write the name of one",
            )


def _nets(config: Config, resource: Resource) -> Iterator[Options]:
    seen: set[Options] = set()
    connections: tuple[Connection | None, ...] = (None, *resource.connections)
    for connection in connections:
        net = config.effective(resource, connection).net
        if net not in seen:
            seen.add(net)
            yield net


def _split_brain(net: Options, to: Diagnostics) -> None:
    for name, wild in WILD.items():
        option = net.get(name)
        if option is not None and (option.value in wild or option.value.startswith("discard-node-")):
            to.warning(
                option.position,
                "wild-split-brain-policy",
                f"{name} {option.value} can discard the newer data without asking",
                f"write {name} {_TAME[name]}",
            )
    if (always := net.get("always-asbp")) is not None and always.value == "yes":
        to.warning(
            always.position,
            "wild-split-brain-policy",
            "always-asbp lets the policies decide even where the data have no common past",
            "remove it",
        )


def _fencing(resource: Resource, settings: Settings, at: Position, to: Diagnostics) -> None:
    fencing = settings.net.get("fencing")
    quorum = settings.options.value("quorum", "off")
    handler = settings.handlers.get("fence-peer")
    if fencing is None or fencing.value == "dont-care":
        if quorum == "off":
            to.warning(
                at if fencing is None else fencing.position,
                "no-fencing",
                f"{resource.name}: a node with old data is promoted as if it were UpToDate",
                "set fencing resource-only and a fence-peer handler, or with three nodes of DRBD 9 quorum majority",
            )
    elif handler is None:
        to.warning(
            fencing.position,
            "no-fence-handler",
            f"{resource.name}: fencing {fencing.value} without a fence-peer handler refuses every takeover",
            "set handlers { fence-peer }",
        )


def _protocol(resource: Resource, net: Options, at: Position, to: Diagnostics) -> None:
    option = net.get("protocol")
    two = net.get("allow-two-primaries")
    if option is not None and option.value in ("A", "B"):
        to.note(
            option.position,
            "asynchronous-protocol",
            f"{resource.name}: with protocol {option.value} a takeover can lose the last writes",
            "write protocol C where no acknowledged write may be lost",
        )
    if two is not None and two.value == "yes":
        to.note(
            two.position,
            "two-primaries",
            f"{resource.name} is for a cluster file system (OCFS2, GFS2): drbdctl leaves its roles alone",
            "remove allow-two-primaries where ext4 or XFS is on it: two mounts destroy them",
        )
        if option is not None and option.value != "C":
            to.error(two.position, "two-primaries-protocol", "allow-two-primaries needs protocol C", "write protocol C")


def _secret(net: Options, to: Diagnostics) -> None:
    secret, algorithm = net.get("shared-secret"), net.get("cram-hmac-alg")
    if secret is not None and algorithm is None:
        to.warning(
            secret.position,
            "secret-unused",
            "shared-secret has no effect without cram-hmac-alg",
            "add cram-hmac-alg sha256",
        )
    elif algorithm is not None and secret is None:
        to.error(algorithm.position, "secret-missing", "cram-hmac-alg wants a shared-secret", "add shared-secret")


def _timeouts(net: Options, at: Position, to: Diagnostics) -> None:
    timeout = _whole(net, "timeout", 60)
    for name, default in (("ping-int", 10), ("connect-int", 10)):
        seconds = _whole(net, name, default)
        if timeout is not None and seconds is not None and timeout >= seconds * 10:
            option = net.get(name) or net.get("timeout")
            to.warning(
                option.position if option is not None else at,
                "timeout-too-long",
                f"timeout is {timeout / 10:g} s, {name} is {seconds} s: drbd.conf(5) wants timeout to be shorter",
                "lower timeout (in tenths of a second), or raise the other",
            )


def _startup(startup: Options, to: Diagnostics) -> None:
    option = startup.get("become-primary-on")
    if option is not None:
        to.warning(
            option.position,
            "become-primary-on",
            "a node that makes itself Primary at boot does not ask whether its data are the newest",
            "remove it: who holds the address is promoted",
        )


def _resync(disk: Options, at: Position, to: Diagnostics) -> None:
    rate, ahead = disk.get("resync-rate"), disk.get("c-plan-ahead")
    if rate is not None and (ahead is None or ahead.value.strip("0sKMGkmg")):
        to.note(
            rate.position,
            "resync-rate-initial",
            f"since 8.4 {rate.value} is only the rate a resync begins with; then the controller chooses",
            f"to bound it write c-max-rate {rate.value}, to fix it c-plan-ahead 0",
        )


def _hosts(resource: Resource, to: Diagnostics) -> None:
    minors: dict[int, tuple[Host, int]] = {}
    for host in resource.hosts:
        for volume in host.volumes:
            if volume.minor is None:
                continue
            first, minor = minors.setdefault(volume.number, (host, volume.minor))
            if minor != volume.minor:
                to.warning(
                    volume.origin.position,
                    "different-minors",
                    f"{resource.name}: minor {volume.minor} on {host}, {minor} on {first}",
                    "use one minor on all nodes: NFS clients may get stale handles otherwise",
                )
        if host.address is not None and host.address.host in ("127.0.0.1", "::1"):
            to.error(
                host.address.origin.position,
                "loopback-address",
                f"{host}: {host.address.host} reaches no other node",
                "write the address of the replication link",
            )


def _clashes(config: Config, to: Diagnostics) -> None:
    """Two volumes or resources of one host that claim the same thing."""
    taken: dict[tuple[str, str, str], str] = {}
    for resource in config.resources:
        for host in resource.hosts:
            if host.naming is Naming.STACKED:
                continue
            for name in host.names or (host.address.host if host.address else "",):
                for what, value, at in _claims(host):
                    first = taken.setdefault((name, what, value), f"{resource.name} at {at}")
                    if first != f"{resource.name} at {at}":
                        to.error(
                            at, f"shared-{what}", f"{what} {value} on {name} belongs to {first}", "give each its own"
                        )
        ports = [str(host.address) for host in resource.hosts if host.address is not None]
        if len(set(ports)) < len(ports):
            to.error(
                resource.origin.position,
                "same-address",
                f"{resource.name}: two hosts have one address",
                "write the address of each",
            )


def _claims(host: Host) -> Iterator[tuple[str, str, Position]]:
    if host.address is not None:
        yield "address", str(host.address), host.address.origin.position
    for volume in host.volumes:
        at = volume.origin.position
        if volume.minor is not None:
            yield "device", f"minor {volume.minor}", at
        if volume.disk not in ("", "none"):
            yield "disk", volume.disk, at
        if volume.meta_disk not in ("", "internal"):
            yield "meta-disk", volume.meta_disk, at


def _whole(net: Options, name: str, default: int) -> int | None:
    text = net.value(name, str(default))
    return int(text) if text.isascii() and text.isdigit() else None
