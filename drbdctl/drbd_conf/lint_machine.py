"""What does not fit between a drbd.conf and the machine it is on."""

from __future__ import annotations

from collections.abc import Iterator

from drbdctl.drbd_conf.model import Address, Config, Naming, Option, Resource
from drbdctl.host import Machine
from pyvrrp.config.diagnostics import Diagnostics, Position

_OTHERS_READ = 0o004
_GROUP_READS = 0o040


def lint_machine(config: Config, machine: Machine, file: str, diagnostics: Diagnostics) -> None:
    """Report host names, addresses, file modes and boot units that do not fit; `file` is the one that was asked for."""
    verified = config.general.value("disable-ip-verification", "no") == "no"
    for resource in config.resources:
        _this_host(resource, machine, verified, diagnostics)
    for secret in _secrets(config):
        mode = machine.modes.get(secret.position.file, 0)
        if mode & _OTHERS_READ:
            diagnostics.warning(
                secret.position,
                "secret-readable",
                f"every user can read the shared-secret (mode {mode:04o})",
                f"chmod 0600 {secret.position.file}",
            )
        elif mode & _GROUP_READS:
            diagnostics.note(
                secret.position,
                "secret-readable",
                f"a group can read the shared-secret (mode {mode:04o})",
                f"chmod 0600 {secret.position.file}, or keep it if that group is meant to",
            )
    for unit in machine.boot_units:
        diagnostics.warning(
            Position(file, 1),
            "unit-enabled",
            f"{unit} starts at boot by itself, beside the one that decides who serves",
            f"systemctl disable {unit}",
        )


def _this_host(resource: Resource, machine: Machine, verified: bool, to: Diagnostics) -> None:
    named = [host for host in resource.hosts if host.naming is Naming.ON]
    here = resource.host(machine.name)
    at = resource.origin.position
    if here is None:
        if len(named) < len(resource.hosts):
            return  # a floating or stacked side is found by other means
        names = " ".join(str(host) for host in named)
        short = machine.name.partition(".")[0]
        near = next((name for host in named for name in host.names if name.partition(".")[0] == short), None)
        hint = f"write on {machine.name} in place of on {near}" if near else f"`uname -n` has to be one of: {names}"
        to.warning(at, "host-not-here", f"{resource.name}: this machine, {machine.name}, is in no `on` block", hint)
        return
    addresses = [here.address] if here.address is not None else list(_connection_addresses(resource, machine.name))
    for address in addresses:
        if verified and machine.addresses is not None and address.host not in machine.addresses:
            if address.family == "ipv6" and "%" in address.host and address.host.split("%")[0] in machine.addresses:
                continue
            to.error(
                address.origin.position,
                "address-not-here",
                f"{resource.name}: {address.host} is on no interface of this machine, drbdadm refuses to work",
                "correct the address, or bring its interface up",
            )


def _connection_addresses(resource: Resource, name: str) -> Iterator[Address]:
    for connection in resource.connections:
        for path in connection.paths:
            yield from (end.address for end in path if end.host == name and end.address is not None)


def _secrets(config: Config) -> Iterator[Option]:
    nets = [config.common.net]
    for resource in config.resources:
        nets += [resource.settings.net, *(each.settings.net for each in resource.connections)]
    for net in nets:
        if (secret := net.get("shared-secret")) is not None:
            yield secret
