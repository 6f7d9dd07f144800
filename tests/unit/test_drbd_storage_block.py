"""The `storage` block: what it means, and what is told about one that can't be meant."""

import os

import pytest

from drbdctl.drbd_conf import loads
from drbdctl.failover.group import OnDemoteFailure, Takeover
from drbdctl.plugin import DrbdPlugin
from drbdctl.settings import Nfs, Program, Unit
from drbdctl.storage_block.reader import read
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load_text as load_keepalived

HOST = os.uname().nodename
DRBD = f"""
resource drbd0 {{
    net {{ protocol C; ping-int 2; ping-timeout 10; timeout 30; }}
    device /dev/drbd0; disk /dev/sdb1; meta-disk internal;
    on {HOST} {{ address 192.0.2.1:7789; }}
    on other {{ address 192.0.2.2:7789; }}
}}
"""
INSTANCE = """
vrrp_instance DRBD {
    interface eth0
    virtual_router_id 51
    nopreempt
    virtual_ipaddress { 192.0.2.100 }
    track_storage { NFS }
}
"""
STORAGE = """
storage NFS {
    vrrp_instance DRBD
    drbd_resource drbd0
    mount /dev/drbd0 /mnt/drbd0 { fstype xfs  options noatime }
    nfs {
        state_dir /mnt/drbd0/.nfs
        export /mnt/drbd0/export { client 192.168.0.0/24 10.0.0.1  options rw,sync  fsid 1 }
    }
    on_demote_failure reboot
}
"""


def storages(text: str, instance: str = INSTANCE, drbd: str = DRBD):
    loaded = load_keepalived(instance + text, name="k.conf", plugins=[DrbdPlugin()])
    diagnostics = loaded.diagnostics
    found = read(loaded.config, diagnostics, lambda path: loads(drbd, name=path).config)
    return found, [str(each) for each in diagnostics if each.code != "nopreempt"]


def test_the_block_of_the_manual():
    (storage,), said = storages(STORAGE)
    assert said == []
    group = storage.group
    assert (storage.name, storage.instance, group.resources[0].name) == ("NFS", "DRBD", "drbd0")
    assert (group.resources[0].protocol, group.resources[0].link_timeout) == ("C", 3.0)
    (mount,) = group.mounts
    assert (mount.device, mount.point, mount.fstype, mount.options) == ("/dev/drbd0", "/mnt/drbd0", "xfs", "noatime")
    (nfs,) = storage.services
    assert isinstance(nfs, Nfs)
    assert (nfs.state_dir, nfs.scope, nfs.version3, nfs.lease) == ("/mnt/drbd0/.nfs", "storage-nfs", False, 30)
    (export,) = nfs.exports
    assert (export.clients, export.options, export.fsid) == (("192.168.0.0/24", "10.0.0.1"), ("rw", "sync"), "1")
    assert export.mount_point == "/mnt/drbd0"
    assert group.policy.on_demote_failure is OnDemoteFailure.REBOOT
    assert group.policy.takeover is Takeover.PROVEN, "the default never guesses"


def test_other_services_in_their_order():
    (storage,), said = storages("""
        storage DB {
            vrrp_instance DRBD
            drbd_resource drbd0
            mount /dev/drbd0 /srv/db { }
            systemd_unit mariadb
            command tuner { start "/usr/local/bin/tune --fast"  stop /bin/true  check /usr/local/bin/tuned -q }
            takeover availability_first
            witness ping 192.0.2.254
            deadlines { mount 20  demote 8.5 }
        }""")
    assert said == []
    unit, program = storage.services
    assert unit == Unit(name="mariadb.service")
    assert program == Program(
        name="tuner",
        start=("/usr/local/bin/tune", "--fast"),
        stop=("/bin/true",),
        check=("/usr/local/bin/tuned", "-q"),
    )
    assert [each.name for each in storage.group.services] == ["mariadb.service", "tuner"]
    assert (storage.witness, storage.group.policy.witness) == (("ping", "192.0.2.254"), True)
    assert storage.group.policy.takeover is Takeover.AVAILABILITY_FIRST
    assert (storage.group.deadlines.mount, storage.group.deadlines.demote) == (20.0, 8.5)


def test_a_program_may_have_words_that_are_keywords():
    (storage,), said = storages("""
        storage NFS {
            vrrp_instance DRBD
            drbd_resource drbd0
            command db {
                start /usr/bin/systemctl start mariadb
                stop /usr/bin/systemctl stop mariadb
                check /usr/bin/mariadb -N -e "SELECT 1"
            }
        }
    """)
    assert said == []
    assert storage.services == (
        Program(
            name="db",
            start=("/usr/bin/systemctl", "start", "mariadb"),
            stop=("/usr/bin/systemctl", "stop", "mariadb"),
            check=("/usr/bin/mariadb", "-N", "-e", "SELECT 1"),
        ),
    )


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("vrrp_instance DRDB", "vrrp_instance DRBD", "there is no vrrp_instance DRDB; did you mean 'DRBD'?"),
        ("drbd_resource drdb0", "drbd_resource drbd0", "/etc/drbd.conf has no resource drdb0; did you mean 'drbd0'?"),
        ("", "drbd_resource drbd0", "it has no drbd_resource; add 'drbd_resource NAME'"),
        ("", "state_dir /mnt/drbd0/.nfs", "nfs has no state_dir: its clients would lose their locks"),
        ("state_dir /var/lib/nfs", "state_dir /mnt/drbd0/.nfs", "state_dir /var/lib/nfs is on no mount of this block"),
        ("", "fsid 1", "export /mnt/drbd0/export has no fsid; add 'fsid 1', the same on both nodes"),
        ("options rw,fsid=3", "options rw,sync", "'fsid=3' among the options"),
        ("export /export", "export /mnt/drbd0/export", "export /export is on no mount of this block"),
        ("on_demote_failure rebot", "on_demote_failure reboot", "means nothing; did you mean 'reboot'?"),
        ("mount /dev/drbd0 mnt", "mount /dev/drbd0 /mnt/drbd0", "'mnt' does not begin with /"),
    ],
)
def test_what_can_t_be_meant_is_refused_with_what_to_write(wrong: str, right: str, told: str):
    assert right in STORAGE
    found, said = storages(STORAGE.replace(right, wrong))
    assert found == []
    assert any(told in each and "error" in each and each.startswith("k.conf:") for each in said), said


def test_a_host_that_is_not_in_drbd_conf():
    found, said = storages(STORAGE, drbd=DRBD.replace(HOST, "somebody-else"))
    assert found == []
    assert any(f"is not on this host, {HOST}" in each for each in said)


def test_what_is_tracked_and_not_there_is_told():
    diagnostics = Diagnostics()
    plugin = DrbdPlugin()
    loaded = load_keepalived(INSTANCE.replace("NFS", "NSF"), name="k.conf", plugins=[plugin])
    plugin.configure(loaded.config, diagnostics)
    (found,) = diagnostics
    assert "track_storage: there is no storage NSF" in str(found)
    assert found.fatal


def test_a_block_that_is_refused_is_there_for_those_that_track_it():
    diagnostics = Diagnostics()
    plugin = DrbdPlugin()
    loaded = load_keepalived(f"{INSTANCE}storage NFS {{\n vrrp_instance NOBODY\n}}\n", name="k.conf", plugins=[plugin])
    plugin.configure(loaded.config, diagnostics)
    said = list(map(str, diagnostics))
    assert any("NOBODY" in each for each in said)
    assert not any("there is no storage" in each for each in said)
