"""Command lines: of vrrp_script and of the notify keywords."""

from __future__ import annotations

import re

from pyvrrp.config.model import Command, Notify
from pyvrrp.config.quoting import command_words
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
"a user's or group's name, or its number"


def split(word: Word, values: Values) -> tuple[str, ...]:
    """The words of a command that stands in one word of the file; empty after an error."""
    try:
        argv = command_words(word.text)
    except ValueError as error:
        values.error(word.position, "bad-quoting", f"{error}, the command is ignored")
        return ()
    if not argv or not argv[0]:
        values.error(word.position, "missing-command", "the command is empty", "write the path of a program")
        return ()
    return argv


def notify_command(statement: Statement, values: Values) -> Command | None:
    """`NAME COMMAND [USER [GROUP]]`."""
    command, *account = statement.arguments
    if len(account) > 2 or not all(_ACCOUNT.fullmatch(word.text) for word in account):
        line = " ".join(word.text for word in statement.arguments)
        values.error(
            statement.position,
            "unquoted-command",
            f"'{statement.name}': the words after the command are its user and group; it is not run",
            f'quote the command with its arguments: {statement.name} "{line}"',
        )
        return None
    argv = split(command, values)
    names = [word.text for word in account]
    return Command(argv, *names) if argv else None


def notify(values: Values) -> Notify:
    """The scripts of an instance or a group; of two lines with one keyword the first counts, as in keepalived."""

    def command(name: str) -> Command | None:
        found = [statement for statement in values.all(name) if statement.arguments]
        return notify_command(found[0], values) if found else None

    bare = [statement for statement in values.all("notify_deleted") if not statement.arguments]
    if bare:
        values.warning(
            bare[0].position,
            "not-supported",
            "'notify_deleted' without a command is not supported yet",
            "give it a command; `notify` hears FAULT when the instance is deleted",
        )
    return Notify(
        master=command("notify_master"),
        backup=command("notify_backup"),
        fault=command("notify_fault"),
        stop=command("notify_stop"),
        deleted=command("notify_deleted"),
        any=command("notify"),
        master_rx_lower_pri=command("notify_master_rx_lower_pri"),
    )
