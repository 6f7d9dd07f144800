"""Whatever a file holds: reading it ends, raises nothing, and points at places that are in the file."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.quoting import command_words, unquoted
from pyvrrp.config.reader import read_text
from pyvrrp.config.statements import Statement
from pyvrrp.config.suggest import did_you_mean

FRAGMENTS = (
    *("vrrp_instance", "VI_1", "script", "notify", "state", "priority 100", "10.0.0.1/24", "auth_pass"),
    *("{", "}", "{}", " ", "\n", "\n\n", "\t", "\r\n", '"', "'", "\\", "\\\n", "#", "!"),
    *("\\#", "//", "\0", "\ufeff", "\xa0"),
    *("$A", "$A=", "${A}", "${A", "$B=$A", "$M= \\\n", "${_RANDOM 1 2}", "${_PWD}", "${_ENV X}", "${_HASH}", "$", "="),
    *("@main ", "@other ", "@^main ", "@", "~SEQ(A, 3) ", "~SEQx(B,1,2,9)", "~LST({A,B},{1,2},3) ", "~SEQ("),
    *("~LST", ",", ")"),
    *("include nowhere", "include", "includea {a,b}*", "include_check -match", "<<<<<<< x\n"),
    *("=======\n", ">>>>>>> y\n"),
)  # fmt: skip
CONFIGURATIONS = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), max_size=40).map("".join),
    st.text(alphabet=" \n\"'{}#!\\$@~()=,;abA_\0\udcff", max_size=100),
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


def positions(statements: tuple[Statement, ...]) -> Iterator[Position]:
    for statement in statements:
        yield from (word.position for word in statement.words)
        yield from positions(statement.body or ())


@given(CONFIGURATIONS)
def test_reading_never_raises_and_points_into_the_file(text: str) -> None:
    diagnostics = Diagnostics()
    source = read_text(text, diagnostics, name="nowhere/f", config_id="main", environ={"X": "y"}, random_seed=1)
    lines = text.removeprefix("\ufeff").split("\n")
    for position in (*positions(source.statements), *(each.position for each in diagnostics)):
        assert position.file == "nowhere/f"
        assert 1 <= position.line <= len(lines)
        assert 0 <= position.column <= max(1, len(lines[position.line - 1]) + 1)
    for each in diagnostics:
        assert each.hint
        assert str(each).isprintable()


@given(CONFIGURATIONS)
def test_reading_twice_gives_the_same(text: str) -> None:
    first, second = Diagnostics(), Diagnostics()
    assert read_text(text, first, name="nowhere/f", random_seed=1) == read_text(
        text, second, name="nowhere/f", random_seed=1
    )
    assert list(first) == list(second)


@given(st.lists(st.text(alphabet="abc_019./-:", min_size=1, max_size=8), min_size=1, max_size=4), st.data())
def test_words_come_back_as_they_were_written(words: list[str], data: st.DataObject) -> None:
    words = ["w" + word for word in words]
    gaps = [data.draw(st.sampled_from([" ", "\t", "   "])) for _ in words]
    quoted = [data.draw(st.booleans()) for _ in words]
    line = "".join(f'{gap}"{word}"' if q else f"{gap}{word}" for gap, word, q in zip(gaps, words, quoted, strict=True))
    (statement,) = read_text(line, Diagnostics()).statements
    assert [word.text for word in statement.words] == words
    assert [word.quoted for word in statement.words] == quoted
    starts = [line.index(word, word_at - 1) for word, word_at in zip(words, _columns(statement), strict=True)]
    assert starts == [column - 1 + q for column, q in zip(_columns(statement), quoted, strict=True)]


def _columns(statement: Statement) -> list[int]:
    return [word.position.column for word in statement.words]


@given(st.text(alphabet="ab \"'\\x041c{}\0é\udcff", max_size=30))
def test_commands_are_split_or_refused(text: str) -> None:
    unquoted(text)
    try:
        words = command_words(text)
    except ValueError:  # a quote that is not closed; anything else would fail
        return
    assert all("\0" not in word for word in words)


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=6))
def test_a_suggestion_is_one_of_the_known_words(word: str, known: list[str]) -> None:
    assert did_you_mean(word, known) in (None, *known)
    if word in known:
        assert did_you_mean(word, known).casefold() == word.casefold()  # type: ignore[union-attr]
