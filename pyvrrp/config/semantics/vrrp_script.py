"""vrrp_script."""

from __future__ import annotations

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Command, VrrpScript
from pyvrrp.config.semantics import tracks
from pyvrrp.config.semantics.commands import split
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement

_LONGEST = 4294.0
"seconds; keepalived holds microseconds in 32 bits"


def read(block: Statement, diagnostics: Diagnostics) -> VrrpScript | None:
    """One script; None when it has no command that could be run."""
    name = block.arguments[0].text
    values = Values(f"vrrp_script {name}", block.body or (), diagnostics, block.position)
    command = _command(values)
    if command is None:
        return None
    interval = values.seconds("interval", 0.001, _LONGEST, 1.0)
    statement = values.last("weight")
    weight = tracks.weight(statement.arguments, values, "weight") if statement else tracks.Weight()
    return VrrpScript(
        name=name,
        command=command,
        interval=interval,
        timeout=values.seconds("timeout", 0.001, _LONGEST, interval),
        weight=weight.amount or 0,
        reverse=bool(weight.reverse),
        rise=values.number("rise", 1, 2**31 - 1, 1),
        fall=values.number("fall", 1, 2**31 - 1, 1),
        init_fail=values.has("init_fail"),
        path_test=_line(values).startswith("<"),
        position=block.position,
    )


def _line(values: Values) -> str:
    script = values.last("script")
    return script.arguments[0].text.strip() if script else ""


def _command(values: Values) -> Command | None:
    script = values.last("script")
    if script is None:
        values.error(
            values.position, "missing-command", "it has no script, so it counts as failed", 'write script "COMMAND"'
        )
        return None
    word, *rest = script.arguments
    if rest:
        values.error(
            rest[0].position,
            "unquoted-command",
            f"only '{word}' is run, the words after it are ignored",
            f'quote the command with its arguments: script "{" ".join(each.text for each in script.arguments)}"',
        )
    argv = (_line(values)[1:].strip(),) if _line(values).startswith("<") else split(word, values)
    account = values.last("user")
    names = [word.text for word in account.arguments] if account else []
    return Command(argv, *names) if argv else None
