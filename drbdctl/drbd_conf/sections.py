"""Option sections: `net { }`, `disk { }`, `syncer { }`, ...: every option into its modern place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from drbdctl.drbd_conf.keywords import SECTIONS, Keyword
from drbdctl.drbd_conf.legacy import SYNCER, Moved, moved
from drbdctl.drbd_conf.model import Option, Options, Origin, Raw, Settings
from drbdctl.drbd_conf.reader import Statement
from drbdctl.drbd_conf.values import option_value
from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.suggest import did_you_mean

SECTION_NAMES = ("net", "disk", "options", "startup", "handlers", "syncer", "proxy")


class Collector:
    """Gathers the option sections of one resource, connection or host."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._options: dict[str, list[Option]] = {name: [] for name in SECTIONS}
        self._proxy: tuple[Raw, ...] = ()
        self._sections: dict[str, Position] = {}

    def read(self, statement: Statement, section: str | None = None) -> None:
        """Take in a section; a second one of its name is an error, as for drbdadm."""
        section = section or statement.name
        position = statement.position
        if (first := self._sections.setdefault(section, position)) != position:
            self._diagnostics.error(
                position, "duplicate-section", f"there is a {section} section already at {first}", "join the two"
            )
        for extra in statement.arguments:
            self._diagnostics.error(extra.position, "bad-block", f"{section} takes no name", f"write {section} {{")
        if section == "proxy":
            self._proxy += tuple(raw(each) for each in statement.body or ())
            return
        if section == "syncer":
            self._diagnostics.warning(
                position,
                "syncer-section",
                "drbd-utils 9 before 9.29 refuse a syncer section",
                "`drbdctl convert` writes its options in their modern places",
            )
        known = (*SYNCER,) if section == "syncer" else (*SECTIONS[section],)
        comments = [each.text for each in statement.comments]
        for child in children(statement, known, self._diagnostics):
            self.option(child, section, comments)
            comments = []

    def option(self, statement: Statement, section: str, comments: Iterable[str] = ()) -> None:
        """Take in one option as it stands in `section`."""
        name, position = statement.name, statement.position
        if statement.body is not None:
            self._diagnostics.error(
                position, "bad-block", f"{name[:40]} opens no block in {section}", "remove the braces"
            )
            return
        place = moved(section, name)
        if place is not None:
            self._report_moved(section, statement, place)
            if not place.section:
                return
        target, modern = (section, name) if place is None else (place.section, place.name)
        keyword = SECTIONS.get(target, {}).get(modern)
        if keyword is None:
            unknown(statement, (*SECTIONS.get(section, SYNCER),), section, self._diagnostics)
            return
        value = self._value(statement, modern, keyword, place)
        if value is not None:
            origin = Origin(position, (*comments, *(each.text for each in statement.comments)))
            self._add(target, Option(modern, value, origin))

    def protocol(self, statement: Statement) -> None:
        """8.3's `protocol C;` of a resource or of `common`."""
        self._report_moved("resource", statement, Moved("net", "protocol"))
        value = self._value(statement, "protocol", SECTIONS["net"]["protocol"], None)
        if value is not None:
            origin = Origin(statement.position, tuple(each.text for each in statement.comments))
            self._add("net", Option("protocol", value, origin))

    def options(self, section: str) -> Options:
        """What was gathered of one section."""
        return Options.of(self._options[section])

    def settings(self) -> Settings:
        """What was gathered."""
        net, disk, options, startup, handlers = (
            self.options(name) for name in ("net", "disk", "options", "startup", "handlers")
        )
        return Settings(net, disk, options, startup, handlers, self._proxy)

    def _value(self, statement: Statement, name: str, keyword: Keyword, place: Moved | None) -> str | None:
        if place is not None and place.value is not None:
            if not statement.arguments:
                return place.value
            self._diagnostics.error(
                statement.position, "wrong-number-of-words", f"{statement.name} takes no value", f"write {name} no"
            )
            return None
        return option_value(name, keyword, statement.arguments, statement.position, self._diagnostics)

    def _add(self, section: str, option: Option) -> None:
        first = next((each for each in self._options[section] if each.name == option.name), None)
        if first is not None:
            self._diagnostics.warning(
                option.position,
                "duplicate-option",
                f"{option.name} is set at {first.position} too; the last one counts",
                "remove one of them",
            )
        self._options[section].append(option)

    def _report_moved(self, section: str, statement: Statement, place: Moved) -> None:
        name, at = statement.name, statement.position
        if not place.section:
            self._diagnostics.warning(at, "gone-keyword", f"{name}: {place.why}", "remove it")
            return
        value = place.value or " ".join(word.text for word in statement.arguments)[:60]
        modern = f"{place.section} {{ {place.name}{f' {value}' if value else ''}; }}"
        self._diagnostics.note(
            at, "legacy-keyword", f"{name} in {section} is the old way to say it", f"today it is {modern}"
        )


def children(statement: Statement, known: Iterable[str], diagnostics: Diagnostics) -> Iterator[Statement]:
    """The statements of a block; a keyword at a line's start tells two apart that a missing semicolon has joined."""
    words = frozenset(known)
    for child in statement.body or ():
        yield from split(child, words, diagnostics)


def split(statement: Statement, known: frozenset[str], diagnostics: Diagnostics) -> Iterator[Statement]:
    """One statement, or those that it should have been."""
    start = 0
    for at in range(1, len(statement.words)):
        before, word = statement.words[at - 1], statement.words[at]
        if word.position.line > before.position.line and not word.quoted and word.text in known:
            diagnostics.error(
                before.position, "missing-semicolon", f"; is missing behind {before.text[:40]}", "write it there"
            )
            yield Statement(statement.words[start:at], None, statement.comments if not start else [])
            start = at
    yield Statement(statement.words[start:], statement.body, statement.comments if not start else [])


def raw(statement: Statement) -> Raw:
    """A statement as it is."""
    body = None if statement.body is None else tuple(raw(each) for each in statement.body)
    return Raw(tuple(word.text for word in statement.words), body)


def unknown(statement: Statement, known: Iterable[str], place: str, diagnostics: Diagnostics) -> None:
    """Report a word that is no keyword here, with the place where it is one or the word that was meant."""
    name, at = statement.name, statement.position
    if (today := SYNCER.get(name)) is not None and today.section:
        hint = f"write {today.section} {{ {today.name} ...; }}"
        diagnostics.error(at, "misplaced-keyword", f"{name} has no place in {place}", hint)
        return
    homes = [section for section, words in _homes().items() if name in words and section != place]
    if homes:
        hint = f"it belongs into {' or '.join(f'{home} {{ }}' for home in homes)}"
        diagnostics.error(at, "misplaced-keyword", f"{name} has no place in {place}", hint)
        return
    candidates = list(known)
    if not (meant := did_you_mean(name, candidates)):
        meant = did_you_mean(name, [word for words in _homes().values() for word in words])
    hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(sorted(candidates)[:8])}, ..."
    diagnostics.error(at, "unknown-keyword", f"{name[:40]!r} is no keyword of {place}", hint)


def _homes() -> Mapping[str, Iterable[str]]:
    hosts = ("address", "device", "disk", "meta-disk", "flexible-meta-disk", "node-id", "volume")
    return {**SECTIONS, "resource": (*SECTION_NAMES, "on", "floating", "connection"), "on": hosts}
