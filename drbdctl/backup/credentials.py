"""The files with the secrets of a repository: they go into the environment of its program, never on a command line."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from drbdctl.backup.settings import Backup

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


class BadCredentials(Exception):
    """A file can't be used; the text says which, why, and what to do."""


def environment(settings: Backup) -> dict[str, str]:
    """What `environment_file` says, after a look at both files; raises BadCredentials."""
    for path in filter(None, (settings.password_file, settings.environment_file)):
        try:
            mode = os.stat(path).st_mode
            if not os.path.isfile(path) or os.path.getsize(path) == 0:
                raise BadCredentials(f"{path} is empty or no file; write the secret of {settings.shown} into it")
        except OSError as error:
            raise BadCredentials(f"{path}: {error.strerror}; the secret of {settings.shown} belongs there") from None
        if stat.S_IMODE(mode) & 0o077:
            raise BadCredentials(f"{path} can be read by others; `chmod 600 {path}`")
    if not settings.environment_file:
        return {}
    try:
        with open(settings.environment_file, encoding="utf-8") as file:
            return dict(_read(file.read(), settings.environment_file))
    except (OSError, UnicodeDecodeError) as error:
        raise BadCredentials(f"{settings.environment_file} can't be read: {type(error).__name__}") from None


def _read(text: str, path: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:  # the line itself is not shown: it may be a secret
            raise BadCredentials(f"{path}:{number} is no NAME=VALUE; correct it")
        value = match[2].strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        yield match[1], value[1:-1] if quoted else value
