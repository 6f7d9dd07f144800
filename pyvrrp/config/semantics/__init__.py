"""From statements to the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.grammar import Grammar
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.model import Config, VrrpInstance
from pyvrrp.config.semantics import global_defs, vrrp_instance, vrrp_script, vrrp_sync_group
from pyvrrp.config.semantics.vrrp_instance import Context, name_of
from pyvrrp.config.statements import Statement
from pyvrrp.config.tables import ROOT

_T = TypeVar("_T")
_HOLDS_TRACKS = ("vrrp_instance", "vrrp_sync_group")


class Extension(Protocol):
    """What a plugin adds to the language."""

    @property
    def keywords(self) -> Sequence[Keyword]:
        """The top-level blocks it owns; one of keepalived's with the same name becomes the plugin's."""

    @property
    def instance_keywords(self) -> Sequence[Keyword]:
        """`track_*` blocks it adds to vrrp_instance and vrrp_sync_group."""


def build(statements: Sequence[Statement], diagnostics: Diagnostics, extensions: Sequence[Extension] = ()) -> Config:
    """The model of the statements; the order of blocks does not matter. Never raises: findings go to `diagnostics`."""
    grammar = Grammar(_keywords(extensions))
    recognised = grammar.recognise(statements, diagnostics)
    owned = {keyword.name for extension in extensions for keyword in extension.keywords}
    blocks = [statement for statement in recognised.statements if statement.name not in owned]

    globals_, defaults = global_defs.read(blocks, diagnostics)
    read_scripts = _named(blocks, "vrrp_script", diagnostics, lambda block, _: vrrp_script.read(block, diagnostics))
    scripts = {script.name: script for script in read_scripts}
    context = Context(
        defaults=defaults,
        scripts=scripts,
        plugin_tracks=[keyword.name for extension in extensions for keyword in extension.instance_keywords],
    )
    instances = _named(
        blocks, "vrrp_instance", diagnostics, lambda block, name: vrrp_instance.read(block, name, context, diagnostics)
    )
    names = [instance.name for instance in instances]
    taken: dict[str, str] = {}
    groups = _named(
        blocks,
        "vrrp_sync_group",
        diagnostics,
        lambda block, name: vrrp_sync_group.read(block, name, context, names, taken, diagnostics),
    )
    for guess in recognised.guesses:
        _look_into(guess, grammar, context, names, diagnostics)
    return Config(
        globals=globals_,
        instances=tuple(_in_group(instance) if instance.name in taken else instance for instance in instances),
        sync_groups=tuple(groups),
        scripts=tuple(read_scripts),
        plugin_blocks=tuple(statement for statement in recognised.statements if statement.name in owned),
    )


def _keywords(extensions: Iterable[Extension]) -> Iterable[Keyword]:
    table = {keyword.name: keyword for keyword in ROOT}
    for extension in extensions:
        table.update((keyword.name, keyword) for keyword in extension.keywords)
        for block in _HOLDS_TRACKS:
            body = table[block].body
            assert isinstance(body, tuple)
            table[block] = replace(table[block], body=(*body, *extension.instance_keywords))
    return table.values()


def _named(
    blocks: Sequence[Statement],
    keyword: str,
    diagnostics: Diagnostics,
    read: Callable[[Statement, str], _T | None],
) -> list[_T]:
    """What `read` makes of the blocks with this keyword; of two with one name the first counts, as in keepalived."""
    first: dict[str, Statement] = {}
    found: list[_T] = []
    for block in blocks:
        if block.name != keyword or (name := name_of(block, diagnostics)) is None:
            continue
        if name in first:
            diagnostics.error(
                block.position,
                "duplicate-name",
                f"{keyword} {name} is defined at {first[name].position} already, this block is ignored",
                "give it another name",
            )
            continue
        first[name] = block
        if (one := read(block, name)) is not None:
            found.append(one)
    return found


def _in_group(instance: VrrpInstance) -> VrrpInstance:
    return replace(instance, parameters=replace(instance.parameters, in_sync_group=True))


def _look_into(
    guess: Statement, grammar: Grammar, context: Context, instances: Sequence[str], diagnostics: Diagnostics
) -> None:
    """Say what else is wrong in a block whose keyword is misspelt; nothing of it is kept, nothing of it is fatal."""
    found = Diagnostics()
    for block in grammar.block(guess, found):
        match block.name:
            case "global_defs":
                global_defs.read((block,), found)
            case "vrrp_script" if name := name_of(block, found):
                vrrp_script.read(block, found)
            case "vrrp_instance" if name := name_of(block, found):
                vrrp_instance.read(block, name, context, found)
            case "vrrp_sync_group" if name := name_of(block, found):
                vrrp_sync_group.read(block, name, context, instances, {}, found)
    for finding in found:
        diagnostics.add(replace(finding, fatal=False))
