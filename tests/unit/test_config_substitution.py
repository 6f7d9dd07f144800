"""Definitions, conditions and built-in parameters. Expected words were measured with keepalived 2.2.7."""

import os
from itertools import pairwise

import pytest

from pyvrrp.config import preprocessor
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.reader import read_text


def lines_of(*lines: str, **options: object) -> list[str]:
    source = read_text("\n".join(lines), Diagnostics(), config_id="main", **options)  # type: ignore[arg-type]
    return ["|".join(word.text for word in statement.words) for statement in source.statements]


def found(*lines: str) -> list[tuple[str, str]]:
    diagnostics = Diagnostics()
    read_text("\n".join(lines), diagnostics, name="f", config_id="main", environ={"IF": "eth7"})
    return [(str(each.position), each.code) for each in diagnostics]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$A", "one"),
        ("x$A", "xone"),
        ("x${A}y", "xoney"),
        ("$A,$A", "one,one"),
        ("$A)", "one)"),
        ("$A.x", "$A.x"),
        ("$A$A", "$Aone"),
        ("$$A", "$one"),
        ('"$A"', "$A"),
        ('"${A} b"', "one b"),
        ('"$A b"', "one b"),
        ("$B", "two|words"),
        ('"${B}."', "two  words."),
        ("${H}end", "end"),
        ("$C x", "q # x|x"),
        ("$D", "a"),
        ("$UNDEF", "$UNDEF"),
        ("script 'echo ${HOME}' $1 $@", "script|echo ${HOME}|$1|$@"),
    ],
)
def test_references(line: str, words: str) -> None:
    definitions = ["$A=one", "$B= two  words  ", '$C="q # x" # comment', "$D=a#b", "$H="]
    assert lines_of(*definitions, line) == [words]


def test_what_is_no_definition() -> None:
    assert lines_of("$1G=x", "$F = x", "x$A=1") == ["$1G=x", "$F|=|x", "x$A=1"]


def test_values_are_replaced_when_they_are_used() -> None:
    # the manual's example: ${SUB} has its braces because no blank follows it after the first replacement
    text = ["$BASE=10.2.${SUB}", "$SUB=0", "${BASE}.100/32", "$SUB=10", "${BASE}.100/32"]
    assert lines_of(*text) == ["10.2.0.100/32", "10.2.10.100/32"]
    assert lines_of("$A=x", "$B=$A", "${B}.y") == ["$A.y"]


def test_lines_of_a_definition() -> None:
    text = ["$M= \\", "  a { \\", "  b $N # comment \\", "# nothing", "\\", "  }", "$N=1", "$M", "$N=2", "p $M", "end"]
    source = read_text("\n".join(text), Diagnostics(), name="f")
    assert [str(each.keyword) for each in source.statements] == ["a", "p", "end"]
    assert [str(each.arguments[0]) for each in source.statements[1:2]] == ["a"]
    assert [[str(word) for word in each.words] for tree in source.statements for each in tree.body or ()] == [
        ["b", "1"],
        ["b", "2"],
    ]


def test_a_definition_with_text_on_its_first_line() -> None:
    assert lines_of("$M=first \\", "second", "p $M") == ["p|first", "second"]


def test_definitions_in_definitions() -> None:
    outer = [
        "$RS= \\",
        "rs $n \\",
        "weight 1",
        "$VS= \\",
        "vs \\",
        "$n=1 \\",
        "$RS \\",
        "$n=2 \\",
        "$RS",
        "$VS",
        "end $n",
    ]
    assert lines_of(*outer) == ["vs", "rs|1", "weight|1", "rs|2", "weight|1", "end|2"]


def test_a_reference_in_the_first_line_of_a_definition() -> None:
    assert lines_of("$A= \\", "a1 \\", "a2", "$B= \\", "$A \\", "b", "$B") == ["a1", "a2", "b"]


def test_positions_in_a_definition_are_where_its_lines_stand() -> None:
    text = ["$M= \\", "  bad ${n} \\", "  worse", "$n=1", "  $M", "x $n y"]
    statements = read_text("\n".join(text), Diagnostics(), name="f").statements
    assert [[str(word.position) for word in each.words] for each in statements] == [
        ["f:2:3", "f:2:7"],
        ["f:3:3"],
        ["f:6:1", "f:6:3", "f:6:6"],
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("@main a", "@other b", "@^main c", "@^other d"), ["a", "d"]),
        (("@main", "@ x", "@^ y", "@MAIN z", "@mainx z"), ["y"]),
        (("  @main\tx y",), ["x|y"]),
        (("@main $P=240", "@other $P=200", "priority $P"), ["priority|240"]),
        (("$IF_MAIN=@main", "$IF_MAIN priority 240", "$IF_MAIN=@other", "$IF_MAIN priority 1"), ["priority|240"]),
        (("@main @^other x", "@main @other y"), ["x"]),
        (("p @other q",), ["p|@other|q"]),
    ],
)
def test_conditions(lines: tuple[str, ...], expected: list[str]) -> None:
    assert lines_of(*lines) == expected


def test_predefined_parameters() -> None:
    here = os.path.realpath(".")
    assert lines_of("${_INSTANCE} i$_INSTANCE", "${_PWD}") == ["main|imain", here]
    assert lines_of("${_INSTANCE}", instance="lb") == ["lb"]
    assert lines_of("x${_HASH}y ${_BANG}", '"${_HASH} z"') == ["x#y|!", "# z"]
    assert lines_of("${_ENV IF}.1", environ={"IF": "eth7"}) == ["eth7.1"]
    assert lines_of("${_PWD}", name="/etc/keepalived/keepalived.conf") == ["/etc/keepalived"]
    assert lines_of("$_PWD=mine", "${_PWD}") == ["mine"]


def test_random_numbers() -> None:
    numbers = [int(line) for line in lines_of(*["${_RANDOM}"] * 50, *["${_RANDOM 5 6}"] * 50, "${_RANDOM 7 7}")]
    assert all(0 <= number <= 32767 for number in numbers[:50])
    assert set(numbers[50:100]) == {5, 6}
    assert numbers[100] == 7
    assert lines_of(*["${_RANDOM}"] * 5, random_seed=3) == lines_of(*["${_RANDOM}"] * 5, random_seed=3)
    assert lines_of("random_seed 5", "${_RANDOM}") == lines_of("${_RANDOM}", "random_seed 5", "${_RANDOM}")[1:]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["$IF=eth0", "interface ${FI}"], [("f:2:11", "undefined-parameter")]),
        (["interface $IF"], [("f:1:11", "undefined-parameter")]),
        (['script "echo ${HOME} $x"', "auth_pass pa$word"], []),
        (['$PEER=10.0.0.1', 'script "ping ${PER}"'], [("f:2:14", "undefined-parameter")]),
        (["$IF=eth0", "interface $IF.1"], [("f:2:11", "parameter-not-replaced")]),
        (["$IF=eth0", 'interface "$IF"'], [("f:2:12", "parameter-not-replaced")]),
        (["$M= \\", "a \\", "b", "x $M y"], [("f:4:3", "lines-inside-line")]),
        (["x ${_RANDOM 6 5}"], [("f:1:3", "bad-parameter")]),
        (["x ${_RANDOM -1}"], [("f:1:3", "bad-parameter")]),
        (["x ${_ENV NOPE}"], [("f:1:3", "bad-parameter")]),
        (["x ${_ENV}"], [("f:1:3", "bad-parameter")]),
        (["x ${_PWD y}"], [("f:1:3", "bad-parameter")]),
        (["x ${_BANG}"], [("f:1:3", "escaped-comment-character")]),
        (['x "${_BANG}"'], []),
        (["$K=a $K", "x $K"], [("f:2:3", "recursive-definition")]),
        (["$K=${L}", "$L=${K}", "x ${K}y"], [("f:3:3", "recursive-definition")]),
        (["$K= \\", "a \\", "$K", "$K"], [("f:3:1", "recursive-definition")]),
        (["a \\", "b"], [("f:1:2", "stray-backslash")]),
        (["@main $M= \\", "a", "$M"], []),
        (["@other $M= \\", "a \\", "b"], [("f:1:1", "condition-on-lines")]),
        (["@main vrrp_instance V {", "}"], [("f:1:1", "condition-on-brace")]),
        (["@main a { b }"], []),
    ],
)  # fmt: skip
def test_what_is_reported(lines: list[str], expected: list[tuple[str, str]]) -> None:
    assert found(*lines) == expected


def test_a_misspelt_name_is_named() -> None:
    diagnostics = Diagnostics()
    read_text("$ADDRESS=10.0.0.1\nx ${ADRESS}", diagnostics)
    assert [each.hint for each in diagnostics] == ["did you mean $ADDRESS?"]


def test_a_blank_line_ends_a_definition_and_the_hint_says_so() -> None:
    diagnostics = Diagnostics()
    source = read_text("$M= \\\na \\\n\nb \\\n\n$M", diagnostics, name="f")
    assert [str(each.keyword) for each in source.statements] == ["b", "a"]
    assert [str(each) for each in diagnostics] == [
        "f:4:2: error[stray-backslash]: a \\ at the end continues only the lines of a $NAME= definition, and the last "
        "one ended at the blank line 3; remove the blank line"
    ]


@pytest.mark.parametrize("value", ["aaaaaaaaaa", ""])
def test_definitions_that_double_each_other_are_refused(value: str) -> None:
    names = "ABCDEFGHIJKLMNOPQRSTUVWX"
    text = [f"$A={value}", *(f"${after}=${{{name}}}${{{name}}}" for name, after in pairwise(names))]
    diagnostics = Diagnostics()
    read_text("\n".join([*text, "x ${X}"]), diagnostics)
    assert [each.code for each in diagnostics.fatal] == ["too-many-replacements"]


def test_definitions_of_lines_that_double_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessor, "MOST_LINES", 1000)
    names = "ABCDEFGHIJKLMNOPQRSTUVWX"
    text = ["$A= \\\na \\\nb", *(f"${after}= \\\n${name} \\\n${name}" for name, after in pairwise(names))]
    diagnostics = Diagnostics()
    read_text("\n".join([*text, "$X"]), diagnostics)
    assert [each.code for each in diagnostics.fatal] == ["too-many-lines"]
