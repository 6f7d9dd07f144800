"""Whatever a drbd.conf holds: reading it raises nothing and points into the file; the conversion says the same."""

from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from drbdctl.drbd_conf import load, loads
from drbdctl.drbd_conf.convert import convert
from drbdctl.drbd_conf.keywords import SECTIONS, Choice, Keyword, Number, Plain, Version
from drbdctl.drbd_conf.lexer import quoted
from drbdctl.drbd_conf.lint import lint
from drbdctl.drbd_conf.lint_machine import lint_machine
from drbdctl.host import Machine

CONF = Path(__file__).parents[1] / "fixtures" / "drbd" / "conf"
SAMPLES = tuple(path.read_text() for path in sorted(CONF.glob("*.conf")))
FRAGMENTS = (
    *("resource r ", "common ", "global ", "on a ", "floating ", "volume 0 ", "net ", "disk ", "syncer ", "startup "),
    *("connection ", "connection-mesh ", "path ", "host a ", "hosts a b;", "skip ", "stacked-on-top-of r ", "proxy "),
    *("protocol C;", "device /dev/drbd0;", "device minor 1;", "disk /dev/sdb;", "meta-disk internal;", "rate 10M;"),
    *("address 10.9.0.1:7788;", "address ipv6 [fe80::1]:1;", "node-id 1;", "no-disk-flushes;", "after r;", "include "),
    *("{", "}", ";", " ", "\n", '"', "\\", "#x", "\0", "\udcff", '"a b"', "minor 3", "[1]", "99999999999999999999"),
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), max_size=30).map("".join),
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
HOSTS = """
on a { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.1:7788; }
on b { device /dev/drbd0; disk /dev/sdb; meta-disk internal; address 10.9.0.2:7788; }
"""


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A real file with a piece cut out, doubled, or replaced."""
    text = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(st.sampled_from((*FRAGMENTS, text[start:end] * 2, ""))) + text[end:]
    return text


@given(st.one_of(TEXTS, mutated()))
def test_reading_never_raises_and_points_into_the_file(text: str) -> None:
    loaded = loads(text, name="nowhere/f")
    lint(loaded.config, loaded.diagnostics)
    lint_machine(loaded.config, Machine("a", frozenset(), {"nowhere/f": 0o644}), "nowhere/f", loaded.diagnostics)
    lines = text.split("\n")
    for each in loaded.diagnostics:
        assert each.position.file == "nowhere/f"
        assert 1 <= each.position.line <= len(lines)
        assert 0 <= each.position.column <= len(lines[each.position.line - 1]) + 1
        assert each.hint
        assert str(each).isprintable()


@given(mutated(), st.sampled_from((Version.V84, Version.V9)))
def test_what_is_converted_says_the_same(text: str, version: Version) -> None:
    result = convert(loads(text, name="nowhere/f"), version)
    assert not [each for each in result.diagnostics if each.code == "not-proved"]
    if not result.diagnostics.errors:
        assert convert(loads(result.text), version).text == result.text


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=60))
def test_a_quoted_string_is_read_as_it_was(text: str) -> None:
    (resource,) = loads(f"resource r {{ handlers {{ split-brain {quoted(text)}; }} {HOSTS} }}").config.resources
    assert resource.settings.handlers.value("split-brain", "missing") == text


def values(keyword: Keyword) -> st.SearchStrategy[str]:
    match keyword.value:
        case Number(least, most):
            return st.integers(least, most).map(lambda number: f" {number}")
        case Choice(words):
            return st.sampled_from(words).map(lambda word: f" {word}")
        case Plain.FLAG:
            return st.just("")
        case Plain.BOOLEAN:
            return st.sampled_from(("", " yes", " no"))
        case Plain.TEXT:
            return st.text("abc \\\"{};#'", max_size=20).map(lambda text: f" {quoted(text)}")
        case Plain.NAMES:
            return st.sampled_from((" a", " a b", " both"))


@st.composite
def sections(draw: st.DrawFn) -> str:
    def of(name: str) -> Iterator[str]:
        for option in draw(st.lists(st.sampled_from(sorted(SECTIONS[name])), unique=True, max_size=6)):
            yield f"{option}{draw(values(SECTIONS[name][option]))};\n"

    return "".join(f"{name} {{\n{''.join(of(name))}}}\n" for name in SECTIONS if name != "global")


@settings(max_examples=50)
@given(sections(), sections(), st.sampled_from((Version.V84, Version.V9)))
def test_every_option_survives_the_conversion(common: str, own: str, version: Version) -> None:
    before = loads(f"common {{\n{common}}}\nresource r {{\n{own}{HOSTS}}}\n")
    assert before.diagnostics.errors == []
    result = convert(before, version)
    assert result.diagnostics.errors == []
    after = loads(result.text).config
    for section in ("net", "disk", "options", "startup", "handlers"):
        for option in getattr(before.config.effective(before.config.resources[0]), section):
            if version in SECTIONS[section][option.name].versions:
                assert option in getattr(after.effective(after.resources[0]), section).items


def test_the_real_files_are_read_without_an_error() -> None:
    for path in sorted(CONF.glob("*.conf")):
        assert load(str(path)).diagnostics.errors == []
