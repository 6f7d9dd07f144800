"""`drbdctl backup` with real LVM, DRBD and restic: made at the Secondary, read back, refused, killed."""

import json

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine
from tests.vm.storage_pair import StoragePair

KEEPALIVED = """
storage DATA {
    drbd_resource r0
    mount /dev/drbd0 /mnt/data
    backup {
        driver restic
        repository /srv/vault
        password_file /etc/keepalived/backup.password
        keep daily 7 weekly 4
        ionice best-effort
    }
}
"""
COMMAND = '#!/bin/sh\nPYTHONPATH=/opt/project:/opt/project/site exec python3 -m drbdctl "$@"\n'
HANDLERS = """handlers {
        before-resync-target "/usr/local/bin/drbdctl snapshot-resync-target";
        after-resync-target "/usr/local/bin/drbdctl snapshot-resync-target --remove";
    }
    device /dev/drbd0;"""
WITHOUT_UDEV = "activation { udev_sync=0  udev_rules=0 }\ndevices { obtain_device_list_from_udev=0 }\n"
FILL_POOL = """lvcreate -qq -y -V 80m -T vg/pool -n other; i=0
while [ $(lvs --noheadings -o data_percent vg/pool | cut -d. -f1) -lt 91 ]; do
    dd if=/dev/urandom of=/dev/vg/other bs=1M count=2 seek=$((i * 2)) conv=fsync,notrunc status=none; i=$((i + 1))
done"""
SLOW = """#!/bin/sh
case " $* " in *" backup "*) sleep 900; exit 1;; esac
exec /usr/bin/restic "$@"
"""


@pytest.fixture
def start(machines):
    """Two machines with DRBD over a logical volume, and a repository on each."""

    def start(create: str = "lvcreate -qq -y -L 40m -n data vg", file_system: str = "ext4", handlers: bool = False):
        nodes = machines("n1", "n2", memory=512)
        for node in nodes:
            node.put("/etc/lvm/lvmlocal.conf", WITHOUT_UDEV)
            node.sh(f"modprobe -a dm-mod dm-snapshot dm-thin-pool; vgcreate -qq -s 1m vg /dev/vdb; {create}")
            node.put("/usr/local/bin/drbdctl", COMMAND, mode=0o755)
            node.put("/etc/keepalived/keepalived.conf", KEEPALIVED)
            node.put("/etc/keepalived/backup.password", "correct horse\n", mode=0o600)
            node.sh("restic -q -r /srv/vault -p /etc/keepalived/backup.password init")
        pair = StoragePair(nodes, disk="/dev/vg/data")
        if handlers:
            pair.configuration = pair.configuration.replace("device /dev/drbd0;", HANDLERS)
        pair.create(file_system=file_system)
        first = nodes[0]
        first.sh("drbdadm primary r0; mount /dev/drbd0 /mnt/data; mkdir /mnt/data/mail")
        first.sh("echo precious > /mnt/data/mail/inbox; head -c 300000 /dev/urandom > /mnt/data/mail/sent; sync")
        return pair

    return start


def snapshots(machine: Machine) -> list[str]:
    return sorted(each.strip() for each in machine.sh("lvs --noheadings -o lv_name -S 'lv_tags!=\"\"'").split())


def backup(machine: Machine, *words: str, check: bool = True) -> str:
    return machine.run("drbdctl", "backup", *words, check=check, timeout=600).output


def ended(machine: Machine, *words: str) -> tuple[int, str]:
    done = machine.run("drbdctl", "backup", *words, check=False, timeout=600)
    return done.status, done.output


def status(machine: Machine) -> dict:
    return json.loads(backup(machine, "status", "--json", check=False))["resources"]["r0"]


def restored(machine: Machine, path: str) -> str:
    environment = "RESTIC_REPOSITORY=/srv/vault RESTIC_PASSWORD_FILE=/etc/keepalived/backup.password"
    return machine.sh(f"{environment} restic -q dump latest {path}")


def slow_run(machine: Machine) -> None:
    machine.put("/usr/local/bin/restic", SLOW, mode=0o755)
    machine.background(["drbdctl", "backup", "run"], "/tmp/run")
    eventually(lambda: "sleep 900" in machine.sh("ps ax"), "restic reads", 240, every=1)


def test_the_secondary_makes_it_from_a_snapshot_and_one_that_is_killed_leaves_nothing(start) -> None:
    n1, n2 = start().machines
    assert status(n2)["alarms"] == ["no backup is known here; `drbdctl backup run`"]
    said = backup(n2, "run")
    assert "a connected Secondary that is UpToDate" in said
    assert restored(n2, "/volume-0/mail/inbox") == "precious\n"
    assert "restored and compared" in backup(n2, "verify")
    found = status(n2)
    assert (found["last_ok"], found["newest"]["role"], found["alarms"]) == (True, "Secondary", [])
    assert found["newest"]["generation"] == f"{int(n2.sh('drbdadm get-gi r0').partition(':')[0], 16) & ~1:016X}"
    assert (snapshots(n2), n2.sh("grep -c backup /proc/mounts || true").strip()) == ([], "0")

    assert "dmeventd" not in n2.sh("ps ax"), "it would keep the run's mount namespace for ever"

    # The Primary, while it is written to; then its archive is new enough to leave the next one to the Secondary.
    n1.background(["sh", "-c", "while :; do date >> /mnt/data/mail/log; sync -f /mnt/data; done"], "/dev/null")
    assert "made here: no archive of the Secondary's is new enough" in backup(n1, "run")
    assert restored(n1, "/volume-0/mail/inbox") == "precious\n"
    assert "left to the peer" in backup(n1, "run")
    assert status(n1)["last_ok"] is True
    assert len(backup(n1, "list").splitlines()) == 1
    assert snapshots(n1) == []
    for node in (n1, n2):
        assert "correct horse" not in node.sh("cat /var/lib/drbdctl/backup/r0.jsonl; dmesg")

    # Killed in the middle, and told to end.
    n1.sh("pkill -f '[m]ail/log'")
    slow_run(n2)
    assert len(snapshots(n2)) == 1
    code, said = ended(n2, "run")
    assert (code, "under way already" in said) == (1, True)

    n2.sh("pkill -KILL -f '[d]rbdctl backup run'")
    n2.sh("rm /usr/local/bin/restic")
    assert len(snapshots(n2)) == 1
    assert "the last run was killed before its end; the next one removes what it left" in status(n2)["alarms"]
    said = backup(n2, "run")
    assert "which a killed run left" in said
    assert (snapshots(n2), "sleep 900" in n2.sh("ps ax")) == ([], False)

    slow_run(n2)
    n2.sh("pkill -TERM -o -f '[d]rbdctl backup run'")
    eventually(lambda: not snapshots(n2), "a run that is told to end undoes what it did", 120, every=1)
    eventually(lambda: "drbdctl backup run" not in n2.sh("ps ax"), "and is gone", 60, every=1)
    assert status(n2)["last_run"]["why"] == "it was told to end, and has undone what it had begun"


def test_a_sync_target_is_refused_and_what_it_was_is_kept_until_the_resync_ends(start) -> None:
    pair = start(handlers=True)
    n1, n2 = pair.machines
    n2.sh("drbdadm disconnect r0")
    n1.sh("head -c 6M /dev/urandom > /mnt/data/more; sync")
    for node in (n1, n2):
        node.sh("drbdadm disk-options --c-plan-ahead=0 --resync-rate=200k r0")
    n2.sh("drbdadm connect r0")
    eventually(lambda: "cs:SyncTarget" in pair.proc(n2), "the resync runs", 240, every=0.2)
    code, said = ended(n2, "run")
    assert code == 1
    assert "r0/0 is Inconsistent here" in said
    assert "SyncTarget" in said
    (kept,) = snapshots(n2)
    assert kept.startswith("data_before-resync_")
    n2.sh(f"mkdir /tmp/old; mount -o ro -t ext4 /dev/vg/{kept} /tmp/old; cat /tmp/old/mail/inbox; umount /tmp/old")
    assert status(n2)["last_ok"] is False
    for node in (n1, n2):
        node.sh("drbdadm disk-options --c-plan-ahead=0 --resync-rate=200M r0")
    eventually(lambda: "ds:UpToDate/UpToDate" in pair.proc(n2), "it has ended", 300, every=0.5)
    eventually(lambda: not snapshots(n2), "the snapshot is gone", 120, every=1)
    backup(n2, "run")
    assert restored(n2, "/volume-0/mail/inbox") == "precious\n"


def test_thin_volumes_with_xfs(start) -> None:
    thin = "lvcreate -qq -y -L 80m --poolmetadatasize 2m -T vg/pool; lvcreate -qq -y -V 330m -T vg/pool -n data"
    _, n2 = start(create=thin, file_system="xfs").machines
    backup(n2, "run")
    assert restored(n2, "/volume-0/mail/inbox") == "precious\n"
    assert "restored and compared" in backup(n2, "verify")
    assert snapshots(n2) == []
    n2.sh(FILL_POOL, timeout=600)
    code, said = ended(n2, "run")
    assert code == 1
    assert "the thin pool vg/pool is full" in said
