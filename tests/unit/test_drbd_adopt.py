"""Notify scripts become a storage block."""

from drbdctl import adopt


def test_the_script_of_many_tutorials():
    found = adopt.read("#!/bin/sh\ndrbdadm primary all\nmount /dev/drbd0 /mnt/drbd0\n")
    assert (found.unread, found.forced) == ([], [])
    assert adopt.block("DRBD", "DRBD", found, ["drbd0"]) == (
        "storage DRBD {\n"
        "    vrrp_instance DRBD\n"
        "    drbd_resource drbd0\n"
        "    mount /dev/drbd0 /mnt/drbd0 { }\n"
        "    on_demote_failure hold\n"
        "}"
    )


def test_one_with_options_services_and_a_forced_promotion():
    found = adopt.read(
        """#!/bin/bash
        drbdadm -- --overwrite-data-of-peer primary r0 || drbdadm primary --force r0
        /bin/mount -t xfs -o noatime,nodiratime /dev/drbd0 /srv && systemctl start mariadb nfs-server
        service smbd start; /etc/init.d/tgt start
        rsync -a /srv /backup
        """
    )
    assert found.mounts == [("/dev/drbd0", "/srv", "xfs", "noatime,nodiratime")]
    assert (found.units, found.nfs) == (["mariadb", "smbd", "tgt"], True)
    assert len(found.forced) == 2
    assert found.unread == ["rsync -a /srv /backup"]
    text = adopt.block("S", "VI", found, [])
    assert "mount /dev/drbd0 /srv { fstype xfs  options noatime,nodiratime }" in text
    assert "state_dir /srv/.nfs" in text
    assert text.count("drbd_resource r0") == 1
    assert "--force" not in text
