"""Who runs a script, and whether it may be run at all."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyvrrp.config.model import Command, Globals

DEFAULT_USER = "keepalived_script"
"runs the scripts when the configuration names nobody and the account exists"
_ACL = "system.posix_acl_access"
_MOST_LINKS = 40
"as the kernel (path_resolution(7))"


class UnknownAccount(Exception):
    """A user or group of the configuration does not exist; the text names it and the next step."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs a script: a user with its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def root(self) -> bool:
        """Whether a script that others may change would hand them root (keepalived counts the group too)."""
        return self.uid == 0 or self.gid == 0


def account(command: Command, settings: Globals) -> Account:
    """The command's user, else that of `script_user`, else keepalived_script where it exists, else our own.

    Found accounts are remembered until `forget_accounts`, so that a directory service that fails later stops no check.
    Raises UnknownAccount.
    """
    if command.user is not None:
        return _lookup(command.user, command.group)
    if settings.script_user is not None:
        return _lookup(settings.script_user, settings.script_group)
    return _default()


@lru_cache
def _default() -> Account:
    try:
        return _lookup(DEFAULT_USER, None)
    except UnknownAccount:
        uid = os.geteuid()
        return Account("root" if uid == 0 else f"uid {uid}", uid, os.getegid(), tuple(os.getgroups()))


@lru_cache
def _lookup(user: str, group: str | None) -> Account:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise UnknownAccount(f"user {user} does not exist; create the account or name another one") from None
    try:
        gid = entry.pw_gid if group is None else int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UnknownAccount(f"group {group} does not exist; create it or name another one") from None
    return Account(entry.pw_name, entry.pw_uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)))


def forget_accounts() -> None:
    """Look accounts up anew (a reload)."""
    _lookup.cache_clear()
    _default.cache_clear()


def find(program: str) -> str | None:
    """The file that `program` means: itself when it has a slash, else the first of that name in PATH that can run."""
    if "/" in program:
        return program
    for directory in os.get_exec_path():
        path = os.path.join(directory, program)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def problems(program: str, account: Account, *, security: bool) -> list[str]:
    """Why `account` can't or must not run `program`, a sentence each; empty: it may.

    With `security` (enable_script_security) a script that root runs is refused when anybody else may write to a part
    of its path: the file, a directory above it, a symbolic link on the way or whatever that points at.
    """
    path = find(program)
    if path is None:
        return [f"{program} is not in the PATH {os.environ.get('PATH', os.defpath)}; write its full path"]
    try:
        way = list(_way(path))
    except OSError as error:
        return [f"{error.filename}: {error.strerror}; put the script there or correct its path"]
    file, found = way[-1]
    if not stat.S_ISREG(found.st_mode):
        return [f"{path} is not a file that can be run; write the path of a program"]
    refused = []
    for place, status in way[:-1]:
        if stat.S_ISDIR(status.st_mode) and not _may_execute(place, status, account):
            refused.append(f"{path} is out of reach for user {account.name}: {place} does not let it pass; chmod o+x")
            break
    if not _may_execute(file, found, account):
        refused.append(f"{path} is not executable by user {account.name}; chmod +x, or name another user")
    if security and account.root:
        insecure = next((place for place, status in way if _others_may_write(place, status)), None)
        if insecure is not None:
            refused.append(
                f"{path} is insecure: {insecure} can be changed by others than root, who runs it"
                " (enable_script_security); chown root, chmod go-w"
            )
    return refused


def _way(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every directory, symbolic link and file that the kernel meets on the way to `path`, the file itself last."""
    here, links = "/", 0
    ahead = os.path.join(os.getcwd(), path).split("/")[::-1]
    yield here, os.lstat(here)
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = os.path.dirname(here)
        elif part not in ("", "."):
            place = os.path.join(here, part)
            status = os.lstat(place)
            yield place, status
            if not stat.S_ISLNK(status.st_mode):
                here = place
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(place)
            here = "/" if target.startswith("/") else here
            ahead += target.split("/")[::-1]


def _may_execute(path: str, status: os.stat_result, account: Account) -> bool:
    mode = status.st_mode
    if account.uid == 0:
        return stat.S_ISDIR(mode) or bool(mode & 0o111)
    if status.st_uid == account.uid:
        allowed = mode & stat.S_IXUSR
    elif status.st_gid in (account.gid, *account.groups):
        allowed = mode & stat.S_IXGRP
    else:
        allowed = mode & stat.S_IXOTH
    # An access control list may allow what the mode does not: then the kernel decides, when the script is run.
    return bool(allowed) or _has_acl(path)


def _others_may_write(path: str, status: os.stat_result) -> bool:
    mode = status.st_mode
    if status.st_uid != 0:
        return True
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return False  # a link has no mode of its own; in a sticky directory nobody can replace what root owns
    group = mode & stat.S_IWGRP and (status.st_gid != 0 or _has_acl(path))
    return bool(group or mode & stat.S_IWOTH)


def _has_acl(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:
        return False
