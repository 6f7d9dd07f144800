"""Notify scripts become a storage block."""

import pytest

from drbdctl import adopt
from drbdctl.cli import main
from drbdctl.plugin import DrbdPlugin
from pyvrrp.config.load import load


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


# --- from keepalived.conf to the block -------------------------------------------------------------------------------

MASTER = "#!/bin/sh\ndrbdadm primary all\nmount /dev/drbd0 /mnt/drbd0\n"
INSTANCE = """vrrp_instance DRBD {{
    state {state}
    interface lo
    virtual_router_id 200
    priority 101
    virtual_ipaddress {{
        192.0.2.15
    }}
    notify_master "{master}"
    notify_backup "{directory}/drbd_backup.sh"
}}
"""


@pytest.fixture
def keepalived(tmp_path):
    """The pair of files of many tutorials; the second script is not there."""
    script = tmp_path / "drbd_master.sh"
    script.write_text(MASTER)
    script.chmod(0o755)
    file = tmp_path / "keepalived.conf"
    file.write_text(INSTANCE.format(state="MASTER", master=script, directory=tmp_path))
    (tmp_path / "drbd.conf").write_text(
        "resource drbd0 { device /dev/drbd0; disk /dev/sdb1; meta-disk internal;"
        " on test1 { address 192.0.2.1:7789; } on test2 { address 192.0.2.2:7789; } }\n"
    )
    return file


def findings(file):
    plugin = DrbdPlugin()
    loaded = load(str(file), plugins=[plugin])
    plugin.configure(loaded.config, loaded.diagnostics)
    return [str(each) for each in loaded.diagnostics if "drbd" in each.code]


def test_check_recommends_the_block(keepalived):
    (found,) = findings(keepalived)
    assert "warning[script-drives-drbd]: vrrp_instance DRBD: " in found
    assert f"{keepalived.parent}/drbd_master.sh drives DRBD beside the election" in found
    assert found.endswith(f"`drbdctl adopt -f {keepalived}` writes it")


def test_a_script_that_is_not_there_is_judged_by_its_name(keepalived):
    (keepalived.parent / "drbd_master.sh").unlink()
    (found,) = findings(keepalived)
    assert "drives DRBD" in found


def test_other_scripts_are_left_alone(keepalived):
    other = keepalived.parent / "mail.sh"
    other.write_text("#!/bin/sh\nmail -s moved root </dev/null\n")
    text = INSTANCE.format(state="BACKUP", master=other, directory="/nonexistent")
    keepalived.write_text(text.replace("drbd_backup", "backup"))
    assert findings(keepalived) == []


def test_adopt_writes_a_block_that_can_be_read_and_says_what_is_left_to_do(keepalived, capsys):
    drbd_conf = str(keepalived.parent / "drbd.conf")
    assert main(["adopt", "-f", str(keepalived), "--drbd-conf", drbd_conf]) == 0
    block, left = capsys.readouterr()
    assert "drbd_resource drbd0\n" in block, "`all` are those of drbd.conf"
    assert "'track_storage { DRBD }', 'state BACKUP', 'nopreempt'" in left
    keepalived.write_text(keepalived.read_text() + block)
    loaded = load(str(keepalived), plugins=[DrbdPlugin()])
    assert [each for each in loaded.diagnostics if each.code in ("unknown-keyword", "misplaced-keyword")] == []
    assert [each.name for each in loaded.config.plugin_blocks] == ["storage"]


def test_without_drbd_conf_adopt_says_so(keepalived, capsys):
    assert main(["adopt", "-f", str(keepalived), "--drbd-conf", "/nonexistent"]) == 0
    block, left = capsys.readouterr()
    assert "drbd_resource all" in block
    assert "/nonexistent: No such file or directory; write the names of the resources in place of `all`" in left
