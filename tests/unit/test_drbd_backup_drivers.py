"""What restic and borg are told, and what is made of what they answer: real answers of restic 0.14 and borg 1.2.4."""

import pytest

from drbdctl.backup.borg import Borg
from drbdctl.backup.driver import Archive, Created, DriverFailed, Origin
from drbdctl.backup.restic import Restic
from drbdctl.backup.settings import Backup, Keep, Program
from drbdctl.steps.command import Outcome

SETTINGS = Backup(program=Program.RESTIC, repository="rest:https://me:hush@vault/r", password_file="/etc/my pass")
ORIGIN = Origin(resource="r0", node="n2", at=1767323045.0, generation="0123456789ABCDEE")
RESTIC_SUMMARY = (
    '{"message_type":"summary","files_new":3,"files_changed":0,"files_unmodified":0,"dirs_new":2,"dirs_changed":0,'
    '"dirs_unmodified":0,"data_blobs":1,"tree_blobs":3,"data_added":1760,"total_files_processed":3,'
    '"total_bytes_processed":300009,"total_duration":0.240494681,"snapshot_id":"adf88e1b"}\n'
)
RESTIC_UNREADABLE = (
    '{"message_type":"error","error":{"Op":"read","Path":"/proc/self/mem","Err":5},"during":"archival",'
    '"item":"/proc/self/mem"}\n' + RESTIC_SUMMARY + "Warning: at least one source file could not be read\n"
)
RESTIC_SNAPSHOTS = (
    '[{"time":"2026-11-22T19:25:46.46562809Z","tree":"6581","paths":["/run/drbdctl/backup/r0"],"hostname":"n1",'
    '"username":"root","tags":["drbdctl","resource:r0"],"id":"adf88e1be54a","short_id":"adf88e1b"},'
    '{"time":"2026-01-02T04:04:05+01:00","tree":"6cc4","paths":["/run/drbdctl/backup/r0"],"hostname":"n2",'
    '"username":"root","tags":["drbdctl","resource:r0"],"id":"c25d397f08be","short_id":"c25d397f"}]\n'
)
BORG_CREATE = """\
{
    "archive": {
        "command_line": ["/usr/bin/borg", "create"],
        "duration": 0.024017,
        "end": "2026-11-22T19:26:23.000000",
        "id": "c66a29a9e68d9d531ab164aec38e6f4e76902ab6cd282b1d8c64effb2ca0455e",
        "limits": {"max_archive_size": 2.565388926551151e-05},
        "name": "r0@n1@2026-01-02T03:04:05Z",
        "start": "2026-11-22T19:26:23.000000",
        "stats": {"compressed_size": 633, "deduplicated_size": 584, "nfiles": 2, "original_size": 558}
    },
    "encryption": {
        "mode": "repokey-blake2"
    }
}
"""
BORG_LIST = """\
{
    "archives": [
        {
            "archive": "r0@n1@2026-01-02T03:04:05Z",
            "barchive": "r0@n1@2026-01-02T03:04:05Z",
            "id": "c66a29a9e68d9d531ab164aec38e6f4e76902ab6cd282b1d8c64effb2ca0455e",
            "name": "r0@n1@2026-01-02T03:04:05Z",
            "start": "2026-11-22T19:26:23.000000",
            "time": "2026-11-22T19:26:23.000000"
        }
    ],
    "encryption": {
        "mode": "repokey-blake2"
    }
}
"""


def answered(output: str, status: int | None = 0, failure: str = "") -> Outcome:
    return Outcome(argv=("x",), status=status, output=output, seconds=1.0, failure=failure)


def restic() -> Restic:
    return Restic(SETTINGS, {"AWS_SECRET_ACCESS_KEY": "hush"})


def borg() -> Borg:
    return Borg(SETTINGS, {})


def test_no_secret_is_on_a_command_line() -> None:
    archive = Archive("adf88e1b", 1.0, "n1")
    for driver in (restic(), borg()):
        commands = [
            *driver.prepare(),
            driver.listing("r0"),
            driver.create(ORIGIN, ["manifest.json", "volume-0"], archive),
            *driver.forget("r0"),
            driver.check(),
            driver.restore(archive, ["manifest.json"]),
        ]
        assert not [argv for argv in commands if any("hush" in word or "vault" in word for word in argv)]
        assert "hush" in str(driver.environment)
    assert "hush" not in repr(SETTINGS)
    assert SETTINGS.shown == "rest:https://***@vault/r"


def test_restic_makes_an_archive_of_the_snapshot_s_moment_with_the_newest_as_parent() -> None:
    argv = restic().create(ORIGIN, ["manifest.json", "volume-0"], Archive("adf88e1b", 1.0, "n1"))
    assert " ".join(argv) == (
        "restic --quiet --json backup --host n2 --time 2026-01-02 03:04:05 --tag drbdctl --tag resource:r0 "
        "--tag generation:0123456789ABCDEE --parent adf88e1b -- manifest.json volume-0"
    )
    assert restic().environment["TZ"] == "UTC"


def test_restic_answers() -> None:
    assert restic().created(answered(RESTIC_SUMMARY)) == Created("adf88e1b", 300009, 1760)
    found = restic().archives(answered("unlocked\n" + RESTIC_SNAPSHOTS))
    assert [(each.name, each.node, each.at) for each in found] == [
        ("c25d397f", "n2", 1767323045.0),
        ("adf88e1b", "n1", 1795375546.0),
    ]
    assert restic().archives(answered("[]\n")) == ()
    assert restic().archives(answered("null\n")) == ()


def test_an_archive_that_lacks_a_file_is_no_backup() -> None:
    with pytest.raises(DriverFailed, match="some files could not be read: exit status 3, Warning: at least one"):
        restic().created(answered(RESTIC_UNREADABLE, 3))
    warning = "/proc/self/mem: read: [Errno 5] Input/output error\n"
    for status in (1, 104):
        with pytest.raises(DriverFailed, match=r"some files could not be read: exit status .*Input/output error"):
            borg().created(answered(warning + BORG_CREATE, status))


@pytest.mark.parametrize("output", ["", "{", RESTIC_SUMMARY[:90], '{"message_type":"summary"}', "[[[[", "\0\0"])
def test_a_torn_answer_is_no_success(output: str) -> None:
    for driver in (restic(), borg()):
        with pytest.raises(DriverFailed):
            driver.created(answered(output))
        with pytest.raises(DriverFailed):
            driver.archives(answered(output.replace("[[[[", "[[[[{")))


def test_an_error_is_told_in_the_program_s_own_words() -> None:
    said = "Fatal: unable to open config file: stat /nope/config: no such file or directory\nIs there a repository?\n"
    with pytest.raises(DriverFailed, match=r"^restic snapshots: exit status 1, Fatal: unable to open config file"):
        restic().archives(answered(said, 1))
    with pytest.raises(DriverFailed, match=r"^borg list: exit status 2, Repository /nope does not exist"):
        borg().archives(answered("Repository /nope does not exist.\n", 2))
    with pytest.raises(DriverFailed, match=r"^restic backup: no end within 60 s, killed"):
        restic().created(answered(RESTIC_SUMMARY, None, "no end within 60 s, killed"))


def test_borg_names_archives_by_resource_node_and_time() -> None:
    argv = borg().create(ORIGIN, ["manifest.json", "volume-0"], None)
    assert argv[-3:] == ("::r0@n2@2026-01-02T03:04:05Z", "manifest.json", "volume-0")
    assert borg().created(answered("a warning\n" + BORG_CREATE)) == Created("r0@n1@2026-01-02T03:04:05Z", 558, 584)
    assert borg().archives(answered(BORG_LIST)) == (Archive("r0@n1@2026-01-02T03:04:05Z", 1767323045.0, "n1"),)
    assert borg().environment["BORG_PASSCOMMAND"] == "cat '/etc/my pass'"


def test_how_many_are_kept() -> None:
    keep = Backup(program=Program.BORG, repository="/r", password_file="/p", keep=Keep(7, 0, 12))
    (argv,) = Restic(keep, {}).forget("r0")
    assert argv[3:] == (
        "--tag",
        "resource:r0",
        "--group-by",
        "",
        "--keep-daily",
        "7",
        "--keep-monthly",
        "12",
        "--prune",
    )
    assert Borg(keep, {}).forget("r0") == (
        ("borg", "prune", "--glob-archives", "r0@*", "--keep-daily", "7", "--keep-monthly", "12"),
        ("borg", "compact"),
    )
    assert Keep(0, 0, 0).everything
