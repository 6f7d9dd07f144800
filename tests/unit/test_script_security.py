"""Who runs a script, and what is refused."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyvrrp.config.model import Command, Globals
from pyvrrp.host import script_security
from pyvrrp.host.script_security import Account, UnknownAccount, account, find, forget_accounts, problems

ROOT = Account("root", 0, 0, (0,))
NOBODY = Account("nobody", 65534, 65534, (65534,))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files that belong to others")


@pytest.fixture(autouse=True)
def _no_memory_of_accounts() -> Iterator[None]:
    forget_accounts()
    yield
    forget_accounts()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that everybody may pass, wherever the tests are run."""
    for place in (tmp_path, *tmp_path.parents):
        if (mode := place.stat().st_mode) & 0o011 != 0o011:  # pytest's own; the system's directories are passable
            place.chmod(stat.S_IMODE(mode) | 0o011)
    return tmp_path


def script(directory: Path, name: str = "check", mode: int = 0o755) -> Path:
    path = directory / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_commands_own_user_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Globals(script_user="daemon")
    assert account(Command(("x",), "root"), settings).name == "root"
    assert account(Command(("x",)), settings).name == "daemon"
    me = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(script_security, "DEFAULT_USER", me)
    assert account(Command(("x",)), Globals()).name == me


def test_without_any_user_it_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_security, "DEFAULT_USER", "no-such-user")
    found = account(Command(("x",)), Globals())
    assert (found.uid, found.gid, found.groups) == (os.geteuid(), os.getegid(), tuple(os.getgroups()))


def test_the_group_is_the_named_one_else_the_users_own() -> None:
    assert account(Command(("x",), "nobody"), Globals()).gid == pwd.getpwnam("nobody").pw_gid
    assert account(Command(("x",), "nobody", "daemon"), Globals()).groups[0] == os.getgrouplist("nobody", 1)[0]
    assert account(Command(("x",), "0", "1"), Globals()) == account(Command(("x",), "root", "daemon"), Globals())


def test_a_found_account_is_remembered_when_the_directory_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    before = account(Command(("x",), "nobody"), Globals())

    def fail(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", fail)
    assert account(Command(("x",), "nobody"), Globals()) == before
    forget_accounts()
    with pytest.raises(UnknownAccount):
        account(Command(("x",), "nobody"), Globals())


@pytest.mark.parametrize(("user", "group"), [("no-such-user", None), ("root", "no-such-group"), ("4000000000", None)])
def test_an_account_that_does_not_exist_is_named(user: str, group: str | None) -> None:
    with pytest.raises(UnknownAccount, match=f"{group or user} does not exist; create"):
        account(Command(("x",), user, group), Globals())


def test_a_program_without_a_slash_is_looked_for_in_path(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "first").mkdir()
    script(directory / "first", mode=0o644)
    path = script(directory)
    monkeypatch.setenv("PATH", f"{directory}/first:{directory}")
    assert find("check") == str(path)
    assert find("no-such-check") is None
    assert find("./check") == "./check"
    assert problems("check", ROOT, security=False) == []


@pytest.mark.parametrize("who", [ROOT, NOBODY])
def test_a_good_script_has_no_problems(directory: Path, who: Account) -> None:
    assert problems(str(script(directory)), who, security=False) == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("missing", "missing: No such file or directory"),
        ("check/below", "check/below: Not a directory"),
        ("loop", "loop: Too many levels of symbolic links"),
        ("dangling", "/nonexistent: No such file or directory"),
        (".", "is not a file that can be run"),
    ],
)
def test_what_is_not_there_is_told_with_the_part_that_is_missing(directory: Path, path: str, problem: str) -> None:
    script(directory)
    (directory / "loop").symlink_to("loop")
    (directory / "dangling").symlink_to("/nonexistent/check")
    (found,) = problems(f"{directory}/{path}", ROOT, security=False)
    assert problem in found


def test_it_must_be_executable_by_who_runs_it(directory: Path) -> None:
    path = script(directory, mode=0o744)
    assert problems(str(path), ROOT, security=False) == []
    assert problems(str(path), NOBODY, security=False) == [
        f"{path} is not executable by user nobody; chmod +x, or name another user"
    ]
    path.chmod(0o644)
    assert problems(str(path), ROOT, security=False) != []


@as_root
@pytest.mark.parametrize(
    ("uid", "gid", "mode", "may"),
    [
        (65534, 0, 0o100, True),
        (65534, 65534, 0o011, False),  # the owner's bits count, though the group may
        (0, 65534, 0o010, True),
        (0, 65534, 0o101, False),
        (0, 7, 0o010, True),  # a supplementary group
        (0, 0, 0o001, True),
        (0, 0, 0o110, False),
    ],
)
def test_of_the_mode_that_part_counts_which_the_kernel_takes(
    directory: Path, uid: int, gid: int, mode: int, may: bool
) -> None:
    path = script(directory, mode=mode)
    os.chown(path, uid, gid)
    who = Account("nobody", 65534, 65534, (65534, 7))
    assert (problems(str(path), who, security=False) == []) is may


def test_a_directory_that_the_user_can_not_pass_is_named(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir()
    path = script(closed)
    closed.chmod(0o700)
    assert problems(str(path), ROOT, security=False) == []
    (found,) = problems(str(path), NOBODY, security=False)
    assert found == f"{path} is out of reach for user nobody: {closed} does not let it pass; chmod o+x"


@as_root
def test_where_an_access_list_decides_it_is_left_to_the_kernel(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(directory, mode=0o700)
    monkeypatch.setattr(script_security, "_has_acl", lambda place: place == str(path))
    assert problems(str(path), NOBODY, security=False) == []


# --- enable_script_security --------------------------------------------------------------------------------


@pytest.fixture
def safe(directory: Path) -> Path:
    """A script that only root can change, in a directory of that kind below a sticky /tmp."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files that belong to root")
    path = script(directory)
    assert problems(str(path), ROOT, security=True) == []
    return path


def insecure(path: Path, who: Account = ROOT) -> str | None:
    found = problems(str(path), who, security=True)
    assert problems(str(path), who, security=False) == []
    return found[0] if found else None


@pytest.mark.parametrize("mode", [0o757, 0o777])
def test_root_runs_no_file_that_others_may_write(safe: Path, mode: int) -> None:
    safe.chmod(mode)
    assert insecure(safe) == (
        f"{safe} is insecure: {safe} can be changed by others than root, who runs it (enable_script_security);"
        " chown root, chmod go-w"
    )


def test_others_may_run_what_others_may_write(safe: Path) -> None:
    safe.chmod(0o777)
    assert insecure(safe, NOBODY) is None
    assert insecure(safe, Account("operator", 1000, 0, (0,))) is not None


def test_writable_by_the_group_matters_unless_it_is_roots(safe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safe.chmod(0o775)
    assert insecure(safe) is None
    monkeypatch.setattr(script_security, "_has_acl", lambda place: place == str(safe))
    assert insecure(safe) is not None
    monkeypatch.undo()
    os.chown(safe, 0, 65534)
    assert insecure(safe) is not None


def test_a_file_of_somebody_else_is_refused(safe: Path) -> None:
    os.chown(safe, 65534, 0)
    assert insecure(safe) is not None


def test_a_directory_above_it_counts(safe: Path) -> None:
    safe.parent.chmod(0o777)
    assert f"insecure: {safe.parent} can be changed" in (insecure(safe) or "")
    safe.parent.chmod(0o1777)
    assert insecure(safe) is None
    os.chown(safe.parent, 65534, 0)
    assert insecure(safe) is not None


def test_a_link_and_the_way_to_its_target_count(safe: Path) -> None:
    elsewhere = safe.parent / "elsewhere"
    elsewhere.mkdir()
    link = elsewhere / "link"
    link.symlink_to("../elsewhere/../check")
    assert insecure(link) is None
    os.lchown(link, 65534, 65534)
    assert f"insecure: {link} can be changed" in (insecure(link) or "")
    os.lchown(link, 0, 0)
    swamp = safe.parent / "swamp"
    swamp.mkdir()
    target = script(swamp)
    link.unlink()
    link.symlink_to(target)
    assert insecure(link) is None
    swamp.chmod(0o777)
    assert f"insecure: {swamp} can be changed" in (insecure(link) or "")
