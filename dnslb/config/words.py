"""Values of virtual_server blocks that are words of a fixed choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Word
from pyvrrp.config.suggest import did_you_mean

_T = TypeVar("_T")


def choice(values: Values, name: str, choices: Mapping[str, _T], default: _T) -> _T:
    """The value of `NAME WORD`; the default where the word is none of `choices`."""
    word = values.word(name)
    if word is None:
        return default
    if word.text in choices:
        return choices[word.text]
    used = next(text for text, value in choices.items() if value == default)
    message = f"'{name} {word}' means nothing, {used} is used"
    values.error(word.position, f"unknown-{name.replace('_', '-')}", message, instead(word, choices))
    return default


def instead(word: Word, choices: Mapping[str, object]) -> str:
    """What to write in place of `word`."""
    near = did_you_mean(word.text, choices)
    return f"did you mean '{near}'?" if near else f"write one of {', '.join(choices)}"


def require_dr(values: Values, keyword: str) -> bool:
    """Whether `lb_kind` or a keyword like it says DR or nothing; anything else is reported and can't be served."""
    word = values.word(keyword)
    if word is None or word.text == "DR":
        return True
    match word.text:
        case "NAT" | "SNAT" | "FULLNAT":
            why = "answers would have to come back through this node, here servers answer the clients themselves"
            hint = "write DR, and give each real server the virtual address: `dnslb realserver add`"
        case "TUN":
            why = "packets are not tunnelled, real servers must be on the link of the virtual address"
            hint = "write DR for such servers, and keep keepalived's checker for others: `keepalived -C`"
        case _:
            why, hint = "there is no such way of forwarding", "write DR"
    values.error(word.position, "not-direct", f"'{keyword} {word}': {why}", hint, fatal=True)
    return False
