"""The block `backup { }` inside `storage NAME { }` of keepalived.conf.

storage NFS {
    drbd_resource r0
    backup {
        driver restic
        repository sftp:backup@vault.example.net:/srv/restic
        password_file /etc/keepalived/backup.password
        keep daily 7 weekly 4
        max_age 93600
    }
}
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TypeVar

from drbdctl.backup.settings import Backup, IoClass, Keep, Program
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.semantics.numbers import whole
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean

BACKUP = "backup"
_DAY = 86400.0
_MOST_KEPT = 10_000
_T = TypeVar("_T")


def _value(name: str, most: int | None = 1, least: int = 1) -> Keyword:
    return Keyword(name=name, words=(least, most))


KEYWORD = Keyword(
    name=BACKUP,
    words=(0, 0),
    inline=True,
    body=(
        _value("driver"),
        _value("repository"),
        _value("password_file"),
        _value("environment_file"),
        _value("keep", 6),
        _value("deadline"),
        _value("max_age"),
        _value("ionice"),
        _value("snapshot_size"),
        Keyword(name="paths", words=(1, None), repeatable=True),
        _value("independent_volumes", 1, 0),
    ),
)
"for the body of `storage`"


def read(block: Statement, owner: str, diagnostics: Diagnostics) -> Backup | None:
    """One block, of `owner` (`storage NFS`); None when no backup can be made by it, which has been reported.

    Its errors are not fatal: a volume without a backup is still to be served.
    """
    values = Values(f"{owner}, backup", block.body or (), diagnostics, block.position)
    repository, password = values.word("repository"), _absolute(values, "password_file")
    if not values.has("repository"):
        values.error(block.position, "missing-keyword", "it has no repository", "add 'repository /srv/backup'")
    if not values.has("password_file"):
        hint = "add 'password_file FILE', which only root can read"
        values.error(block.position, "missing-keyword", "it has no password_file", hint)
    if repository is None or not password:
        return None
    if re.search(r"://[^/@\s]*:[^/@\s]+@", repository.text):
        message = "the repository's address has a password in it, which everyone who may read this file sees"
        values.warning(repository.position, "password-in-file", message, "put it into the environment_file")
    return Backup(
        program=_choice(values, "driver", {each.value: each for each in Program}, Program.RESTIC),
        repository=repository.text,
        password_file=password,
        environment_file=_absolute(values, "environment_file"),
        keep=_keep(values),
        deadline=values.seconds("deadline", 60.0, 7 * _DAY, 4 * 3600.0),
        max_age=values.seconds("max_age", 60.0, 366 * _DAY, 26 * 3600.0),
        ionice=_choice(values, "ionice", {each.value: each for each in IoClass}, IoClass.IDLE),
        snapshot_size=values.number("snapshot_size", 1, 100, 20),
        paths=_paths(values),
        independent_volumes=values.switch("independent_volumes", False),
        position=block.position,
    )


def _absolute(values: Values, name: str) -> str:
    word = values.word(name)
    if word is None:
        return ""
    if word.text.startswith("/"):
        return os.path.normpath(word.text)
    values.error(word.position, "relative-path", f"'{name} {word}' does not begin with /", "write the whole path")
    return ""


def _keep(values: Values) -> Keep:
    statement = values.last("keep")
    if statement is None:
        return Keep()
    words = [word.text for word in statement.arguments]
    if words == ["all"]:
        return Keep(0, 0, 0)
    numbers = {what: whole(number) for what, number in zip(words[::2], words[1::2], strict=False)}
    kept = {what: number for what, number in numbers.items() if number is not None and number <= _MOST_KEPT}
    known = numbers.keys() <= {"daily", "weekly", "monthly"}
    if known and len(kept) * 2 == len(words) and any(kept.values()):
        return Keep(kept.get("daily", 0), kept.get("weekly", 0), kept.get("monthly", 0))
    message = f"'keep {' '.join(words)}' does not say how many, daily 7 weekly 4 is used"
    values.error(statement.position, "bad-keep", message, "write 'keep daily 7 weekly 4 monthly 6' or 'keep all'")
    return Keep()


def _paths(values: Values) -> tuple[str, ...]:
    found: list[str] = []
    for word in (word for line in values.all("paths") for word in line.arguments):
        if path := _below_root(word):
            found.append(path)
        else:
            message = f"'paths {word}' is no path below the root of the file system, the whole of it is saved"
            values.error(word.position, "bad-path", message, "write it without the mount point: paths export mail")
            return ()
    return tuple(dict.fromkeys(found))


def _below_root(word: Word) -> str:
    path = os.path.normpath(word.text)
    return "" if path.startswith(("/", "..", "-")) or path == "." else path


def _choice(values: Values, name: str, choices: Mapping[str, _T], default: _T) -> _T:
    word = values.word(name)
    if word is None:
        return default
    if word.text in choices:
        return choices[word.text]
    near = did_you_mean(word.text, choices)
    used = next(text for text, value in choices.items() if value == default)
    hint = f"did you mean '{near}'?" if near else f"write one of {', '.join(choices)}"
    values.error(word.position, f"unknown-{name}", f"'{name} {word}' means nothing, {used} is used", hint)
    return default
