"""The `backup` block as an operator writes it, and what is said about one that can't work."""

from pathlib import Path

import pytest

from drbdctl.backup.configured import Configured, Extension, configured
from drbdctl.backup.credentials import BadCredentials, environment
from drbdctl.backup.settings import Backup, IoClass, Keep, Program
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load_text

STORAGE = """
storage NFS {{
    vrrp_instance DRBD
    drbd_resource r0 r1
    mount /dev/drbd0 /mnt/data {{ fstype xfs }}
    backup {{
        {}
    }}
}}
"""
NEEDED = "repository /srv/vault\n password_file /etc/keepalived/backup.password\n"


def read(inside: str) -> tuple[dict[str, Configured], list[str]]:
    loaded, diagnostics = load_text(STORAGE.format(inside), plugins=[Extension()]), Diagnostics()
    found = configured(loaded.config, diagnostics)
    unknown = [each for each in loaded.diagnostics if each.code in ("unknown-keyword", "extra-argument")]
    return found, [f"{each.code}: {each.message}; {each.hint}" for each in [*unknown, *diagnostics]]


def test_the_shortest_block_has_sensible_defaults() -> None:
    found, said = read(NEEDED)
    assert said == []
    assert found.keys() == {"r0", "r1"}
    assert found["r0"].settings == Backup(
        program=Program.RESTIC, repository="/srv/vault", password_file="/etc/keepalived/backup.password"
    )
    assert found["r0"].drbd_conf == "/etc/drbd.conf"


def test_every_keyword() -> None:
    found, said = read(
        """driver borg  repository ssh://backup@vault/./r  password_file /etc/p
        environment_file /etc/backup.env
        keep daily 14 weekly 8 monthly 6
        deadline 3600  max_age 7200.5  ionice best-effort  snapshot_size 30
        paths export mail/spool
        paths export
        independent_volumes"""
    )
    assert said == []
    assert found["r0"].settings == Backup(
        program=Program.BORG,
        repository="ssh://backup@vault/./r",
        password_file="/etc/p",
        environment_file="/etc/backup.env",
        keep=Keep(14, 8, 6),
        deadline=3600.0,
        max_age=7200.5,
        ionice=IoClass.BEST_EFFORT,
        snapshot_size=30,
        paths=("export", "mail/spool"),
        independent_volumes=True,
    )


@pytest.mark.parametrize(
    ("inside", "code", "words"),
    [
        ("password_file /p", "missing-keyword", "it has no repository"),
        ("repository /r", "missing-keyword", "it has no password_file"),
        ("repository /r\n password_file p", "relative-path", "'password_file p' does not begin with /"),
    ],
)
def test_without_these_there_is_no_backup(inside: str, code: str, words: str) -> None:
    found, said = read(inside)
    assert found == {}
    assert said[0].startswith(code)
    assert words in said[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("driver rustic", "unknown-driver: storage NFS, backup: 'driver rustic' means nothing, restic is used"),
        ("ionice idel", "did you mean 'idle'?"),
        ("keep daily", "bad-keep"),
        ("keep daily 0", "bad-keep"),
        ("keep hourly 7", "bad-keep"),
        ("keep daily many", "bad-keep"),
        ("max_age 1", "bad-number"),
        ("snapshot_size 101", "bad-number"),
        ("paths /export", "bad-path"),
        ("paths a/../../etc", "bad-path"),
        ("paths --help", "bad-path"),
        ("repositry /x", "did you mean 'repository'?"),
    ],
)
def test_a_mistake_is_told_and_the_default_is_used(line: str, words: str) -> None:
    found, said = read(f"{NEEDED}{line}")
    assert len(said) == 1
    assert words in said[0]
    assert found["r0"].settings == Backup(
        program=Program.RESTIC, repository="/srv/vault", password_file="/etc/keepalived/backup.password"
    )


def test_keep_all_forgets_nothing() -> None:
    assert read(f"{NEEDED}keep all")[0]["r0"].settings.keep.everything


def test_a_password_in_the_address_is_warned_of_without_showing_it() -> None:
    _, said = read("repository rest:https://me:hush@vault/r\n password_file /p")
    assert said[0].startswith("password-in-file")
    assert "hush" not in said[0]


def secret(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def settings(password: str, keys: str = "") -> Backup:
    return Backup(program=Program.RESTIC, repository="s3:bucket", password_file=password, environment_file=keys)


def test_the_keys_of_an_object_store_come_from_a_file(tmp_path: Path) -> None:
    password = secret(tmp_path / "p", "correct horse\n")
    text = "# keys\nAWS_ACCESS_KEY_ID=me\n\nexport AWS_SECRET_ACCESS_KEY='hush hush'\n"
    found = environment(settings(password, secret(tmp_path / "e", text)))
    assert found == {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "hush hush"}
    assert environment(settings(password)) == {}


def test_a_secret_that_others_can_read_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    password = secret(tmp_path / "p", "x")
    for bad, words in (
        (settings(str(tmp_path / "none")), "No such file"),
        (settings(secret(tmp_path / "open", "x", 0o640)), "can be read by others; `chmod 600"),
        (settings(secret(tmp_path / "empty", "")), "is empty or no file"),
        (settings(str(tmp_path)), "no file"),
        (settings(password, secret(tmp_path / "bad", "A=1\nhush hush\n")), "bad:2 is no NAME=VALUE"),
    ):
        with pytest.raises(BadCredentials) as error:
            environment(bad)
        assert words in str(error.value)
        assert "hush" not in str(error.value)
