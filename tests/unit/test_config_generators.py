"""~SEQ and ~LST: which lines they make. Expected lines were measured with keepalived 2.2.7 or are its manual's."""

import pytest

from pyvrrp.config import preprocessor
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.reader import read_text


def made(*lines: str) -> list[str]:
    source = read_text("\n".join(lines), Diagnostics())
    return [" ".join(word.text for word in statement.words) for statement in source.statements]


def found(*lines: str) -> list[tuple[str, str]]:
    diagnostics = Diagnostics()
    read_text("\n".join(lines), diagnostics, name="f")
    return [(str(each.position), each.code) for each in diagnostics]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("~SEQ(i, 2) s$i", ["s1", "s2"]),
        ("~SEQ(i, 0) s$i", ["s1", "s0"]),
        ("~SEQ(i, -3) s$i", ["s-1", "s-2", "s-3"]),
        ("~SEQ(i, 3, 1) s$i", ["s3", "s2", "s1"]),
        ("~SEQ(i, -3, -1) s$i", ["s-3", "s-2", "s-1"]),
        ("~SEQ(i, 1, 2, 6) s$i", ["s1", "s3", "s5"]),
        ("~SEQ(i, 6, -2, 1) s$i", ["s6", "s4", "s2"]),
        ("~SEQ(i, 3, 2, 3) s$i", ["s3"]),
        ("~SEQ(i, 0x9, 0xb) s$i", ["s9", "s10", "s11"]),
        ("~SEQ(i,010,012) s$i", ["s8", "s9", "s10"]),
        ("~SEQ ( i , 2 )s$i", ["s1", "s2"]),
        ("~SEQx(i, 14, 17) s$i", ["se", "sf", "s10", "s11"]),
        ("~SEQx(n, 0x90, 0x10, 0xc0) a::${n}:1", ["a::90:1", "a::a0:1", "a::b0:1", "a::c0:1"]),
        ("~SEQ(a,2) ~SEQ(b,2) m${a}.$b", ["m1.1", "m1.2", "m2.1", "m2.2"]),
        ("~SEQ(a,2) ~SEQ(b,$a) m${a}.$b", ["m1.1", "m2.1", "m2.2"]),
        ("@^other ~SEQ(i,2) s$i", ["s1", "s2"]),
        ("~SEQ(i,2) @other s$i", []),
    ],
)
def test_sequences(line: str, lines: list[str]) -> None:
    assert made(line) == lines


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("~LST(l, a, b,c) l$l", ["la", "lb", "lc"]),
        ("~LST(l, a,,b) l$l", ["la", "l", "lb"]),
        ("~LST({p,q}, {1,2},{3,4}) ${p}-$q", ["1-2", "3-4"]),
        ("~LST(  {p , q} , { 1 , 2 } ) ${p}-${q}", ["1-2"]),
        ("~LST({p,q}, 1, {3,4}) ${p}-$q", ["1-", "3-4"]),
        ("~LST(l, a, b) ~LST(m, 1, 2) ${l}${m}", ["a1", "a2", "b1", "b2"]),
        (
            "~LST({IP, IP1}, {10,1},{20,4}) ~SEQ(IP2,168,2,172) 192.${IP2}.${IP}.${IP1}",
            ["192.168.10.1", "192.170.10.1", "192.172.10.1", "192.168.20.4", "192.170.20.4", "192.172.20.4"],
        ),
    ],
)
def test_lists(line: str, lines: list[str]) -> None:
    assert made(line) == lines


def test_numbers_may_be_definitions() -> None:
    assert made("$N=2", "~SEQ(i, $N) a$i", "~SEQ(i, ${N}) b$i") == ["a1", "a2", "b1", "b2"]


def test_the_variable_keeps_its_last_value() -> None:
    assert made("$i=7", "~SEQ(i, 2) x$i", "y$i") == ["x1", "x2", "y2"]


def test_definitions_can_be_made() -> None:
    assert made("~SEQ(i, 2) $A${i}=x$i", "$A1", "$A2") == ["x1", "x2"]


def test_blocks_of_a_definition_are_made_with_their_bodies() -> None:
    text = ["$VI= \\", "vrrp_instance VI_${n} { \\", "virtual_router_id ${n} \\", "}", "~SEQ(n, 5, 6) $VI"]
    statements = read_text("\n".join(text), Diagnostics()).statements
    assert [str(each.arguments[0]) for each in statements] == ["VI_5", "VI_6"]
    assert [str(each.body[0].arguments[0]) for each in statements if each.body] == ["5", "6"]


@pytest.mark.parametrize(
    "line",
    [
        "~SEQ(i, 1, -2, 6) x", "~SEQ(i, 1, 0, 6) x", "~SEQ(i, a) x", "~SEQ(i) x", "~SEQ() x", "~SEQ(i, 1,2,3,4) x",
        "~SEQ(i, 2 x", "~SEQY(i, 2) x", "~SEQ(i, 1.5) x", "~SEQx(i, -2) x", "~SEQ(i, 09) x", "~SEQ(1a, 2) x",
        "~LST(l) x", "~LST({p,q}, {1,2,3}) x", '~LST(l, "a b") x', "~LST(l, a b) x", "~LST({p,q},{1,2} x) y",
    ],
)  # fmt: skip
def test_a_wrong_generator_makes_nothing_and_is_reported(line: str) -> None:
    assert made(line, "end") == ["end"]
    assert found(line, "end") == [("f:1:1", "bad-generator")]


def test_other_words_with_a_tilde_are_words() -> None:
    assert made("~seq(i, 2) y") == ["~seq(i, 2) y"]


def test_a_generator_without_a_line_is_reported() -> None:
    assert found("~SEQ(i, 2)", "vrrp_instance V") == [("f:1:1", "empty-generator")]


def test_positions_are_those_of_the_line_in_the_file() -> None:
    statements = read_text("\n  ~SEQ(i, 2) x ${i} y", Diagnostics(), name="f").statements
    assert [[str(word.position) for word in each.words] for each in statements] == [["f:2:14", "f:2:16", "f:2:21"]] * 2


@pytest.mark.parametrize("line", ["~SEQ(i, 1000000000) x", "~SEQ(i, 100000) ~SEQ(j, 100000) x"])
def test_too_many_lines_are_refused(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessor, "MOST_LINES", 1000)
    diagnostics = Diagnostics()
    source = read_text(line, diagnostics)
    assert 990 <= len(source.statements) <= 1000
    assert [each.code for each in diagnostics.fatal] == ["too-many-lines"]


def test_too_many_generators_on_a_line_are_refused() -> None:
    assert [code for _, code in found("~SEQ(i,1) " * 100 + "x")] == ["nested-too-deep"]
