"""root of one machine on the other one, by ssh."""

from tests.vm.machine import Machine
from tests.vm.storage_nodes import DRBDCTL, PYVRRP

SSH = "ssh -o BatchMode=yes -o ConnectTimeout=60"
"an emulated processor takes its time for a handshake"


def let_in(visitor: Machine, host: Machine) -> None:
    """root of one machine goes to the other one without a password; both commands are where a package puts them."""
    visitor.sh("mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    host.sh("mkdir -p -m 700 /root/.ssh; mkdir -p /run/sshd; rm -f /etc/ssh/ssh_host_*")
    # An emulated processor looks for the primes of an RSA key for a long time.
    host.sh("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; /usr/sbin/sshd")
    host.put("/root/.ssh/authorized_keys", visitor.read("/root/.ssh/id_ed25519.pub"), mode=0o600)
    visitor.put("/root/.ssh/known_hosts", f"{host} {host.read('/etc/ssh/ssh_host_ed25519_key.pub')}")
    for name, command in (("pyvrrp", PYVRRP), ("drbdctl", DRBDCTL)):
        host.put(f"/usr/local/bin/{name}", f'#!/bin/sh\n{command} "$@"\n', mode=0o755)
