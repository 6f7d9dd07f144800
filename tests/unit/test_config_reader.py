"""From text to statements: blocks, what is wrong with them, and the dirt that real files have."""

from pathlib import Path
from typing import Any

import pytest

from pyvrrp.config.diagnostics import Diagnostics, Severity
from pyvrrp.config.reader import read, read_text
from pyvrrp.config.statements import Statement


def shape(statements: tuple[Statement, ...]) -> list[Any]:
    """A statement without braces is its words, one with braces is (words, body)."""
    return [
        " ".join(word.text for word in each.words)
        if each.body is None
        else (" ".join(word.text for word in each.words), shape(each.body))
        for each in statements
    ]


def tree(text: str) -> list[Any]:
    return shape(read_text(text, Diagnostics()).statements)


def found(text: str) -> list[tuple[str, str]]:
    diagnostics = Diagnostics()
    read_text(text, diagnostics, name="f")
    return [(str(each.position), each.code) for each in diagnostics]


def test_a_whole_instance() -> None:
    text = """! the usual
vrrp_instance DRBD {
    state MASTER          # first choice
    authentication {
        auth_type PASS
    }
    track_script { chk }
    virtual_ipaddress {
    }
    notify_master "/usr/local/sbin/drbd_master.sh"
}
"""
    (instance,) = read_text(text, Diagnostics(), name="f").statements
    assert shape((instance,)) == [
        (
            "vrrp_instance DRBD",
            [
                "state MASTER",
                ("authentication", ["auth_type PASS"]),
                ("track_script", ["chk"]),
                ("virtual_ipaddress", []),
                "notify_master /usr/local/sbin/drbd_master.sh",
            ],
        )
    ]
    assert instance.body is not None
    assert [str(each.position) for each in instance.body] == ["f:3:5", "f:4:5", "f:7:5", "f:8:5", "f:10:5"]
    assert instance.body[4].arguments[0].quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n \n# x\n!\n", []),
        ("a", ["a"]),
        ("a {}", [("a", [])]),
        ("a\n{\n}", [("a", [])]),
        ("a 1\n\n# c\n{ b }", [("a 1", ["b"])]),
        ("a { b } c { d }", [("a", ["b"]), ("c", ["d"])]),
        ("a {\n} b\nc", [("a", []), "b", "c"]),
        ("a { b c\nd }", [("a", ["b c", "d"])]),
        ("a { b { c } d }", [("a", [("b", ["c"]), "d"])]),
        ("server 80{\n}", [("server 80", [])]),
        ("auth { auth_type PASS auth_pass x }", [("auth", ["auth_type PASS auth_pass x"])]),
        ("track_interface eth0\naddresses {\n10.0.0.1\n}", ["track_interface eth0", ("addresses", ["10.0.0.1"])]),
        ("a {\r\n  b\r\n}\r\n", [("a", ["b"])]),
        ("a\tb\v{\f}", [("a b", [])]),
        ("\ufeffa b", ["a b"]),
        ("a\u2028b\x85c", ["a\u2028b\x85c"]),
    ],
)  # fmt: skip
def test_blocks(text: str, expected: list[Any]) -> None:
    assert tree(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {\nb {\nc\n}\n", ["f:1:1 unclosed-block"]),
        ("a {\n  b {\n", ["f:1:1 unclosed-block", "f:2:3 unclosed-block"]),
        ("a {\n}\n}\nb", ["f:3:1 brace-without-opener"]),
        ("a }", ["f:1:3 brace-without-opener"]),
        ("{\na\n}", ["f:1:1 brace-without-keyword"]),
        ("a {} {\nb }", ["f:1:6 brace-without-keyword"]),
        ("a {{\nb\n}\nc\n}", ["f:1:4 brace-without-keyword"]),
        ('a "b', ["f:1:3 unterminated-quote"]),
    ],
)
def test_what_is_wrong_with_braces(text: str, expected: list[str]) -> None:
    assert [f"{position} {code}" for position, code in found(text)] == expected


def test_reading_goes_on_after_braces_that_are_wrong() -> None:
    assert tree("a {\n}\n}\nb {\nc\n}") == [("a", []), ("b", ["c"])]
    assert tree("a {{\nb\n}\nc\n}\nd") == [("a", ["b", "c"]), "d"]
    assert tree("a {\nb {\nc\n}") == [("a", [("b", ["c"])])]


def test_a_missing_brace_is_looked_for_by_indentation() -> None:
    text = "vrrp_instance V {\n    virtual_ipaddress {\n        10.0.0.1\n    priority 5\n}\nvrrp_instance W {\n}\n"
    diagnostics = Diagnostics()
    read_text(text, diagnostics, name="f")
    assert [str(each) for each in diagnostics] == [
        "f:1:1: error[unclosed-block]: vrrp_instance V (line 1) is not closed; add the } that closes it; "
        "judging by the indentation, the one of virtual_ipaddress (line 2) is missing"
    ]


def test_a_brace_too_many_names_the_block_that_ended_before() -> None:
    diagnostics = Diagnostics()
    read_text("vrrp_instance V {\n}\nstate MASTER\n}\n", diagnostics, name="f")
    assert [str(each) for each in diagnostics] == [
        "f:4:1: error[brace-without-opener]: this } closes nothing; vrrp_instance V (line 1) ends above already; "
        "remove it, or one of the } above it"
    ]


def test_a_merge_conflict_is_one_error_and_both_sides_are_read() -> None:
    text = "a {\n<<<<<<< HEAD\npriority 100\n||||||| base\npriority 90\n=======\npriority 80\n>>>>>>> topic\n}\n"
    assert tree(text) == [("a", ["priority 100", "priority 90", "priority 80"])]
    assert found(text) == [("f:2:1", "merge-conflict")]
    assert found("a\n=======\nb\n") == [("f:2:1", "merge-conflict")]
    assert found("<<<<<<<<< a\n======== b\n <<<<<<< c\n") == []


def test_slash_comments_are_one_error_each_and_no_words() -> None:
    text = "// vrrp_instance OLD {\nstate MASTER // or BACKUP\n// }\n"
    assert tree(text) == ["state MASTER"]
    assert found(text) == [("f:1:1", "slash-comment"), ("f:2:14", "slash-comment"), ("f:3:1", "slash-comment")]


@pytest.mark.parametrize(
    ("text", "expected", "statements"),
    [
        ("\ufeffa", [("f:1:1", "byte-order-mark")], ["a"]),
        ("a\nb\udce9c\nd\udcff", [("f:2:2", "not-utf-8")], ["a", "b\udce9c", "d\udcff"]),
        ("a\nb\0c\nd\0e", [("f:2:2", "nul-character")], ["a", "b", "d"]),
        ("\udcff\udcfea\0b\0", [("f:1:1", "utf-16")], []),
        ("a\ud800b", [("f:1:2", "not-utf-8")], ["a\ufffdb"]),
        ("a " + "b" * 1100, [("f:1:1", "line-too-long")], ["a " + "b" * 1100]),
        ("é", [], ["é"]),
    ],
)
def test_characters_that_do_not_belong(text: str, expected: list[tuple[str, str]], statements: list[str]) -> None:
    assert found(text) == expected
    assert tree(text) == statements


def test_conditions_behind_a_brace_are_for_the_line_up_to_the_next_brace() -> None:
    assert tree("a { @other b }\nc {@^other d}") == [("a", []), ("c", ["d"])]
    assert found("a { @other b }") == [("f:1:5", "inside-line")]
    assert tree("$P=9\na { @^other b $P } c { d ${P} }") == [("a", ["b 9"]), ("c", ["d 9"])]
    assert tree("a { ~SEQ(i,2) 10.0.0.$i }\nb { ~LST({p,q},{1,2}) $p.${q} }") == [
        ("a", ["10.0.0.1", "10.0.0.2"]),
        ("b", ["$p.2"]),
    ]


def test_what_only_looks_like_a_condition_behind_a_brace() -> None:
    text = '$P=9\na "{ @x y" b\nc ${P} @x'
    assert tree(text) == ["a { @x y b", "c 9 @x"]
    assert found(text) == []


def test_deeply_nested_blocks_are_left_out() -> None:
    text = "a {\n" * 5000 + "}\n" * 5000 + "end"
    diagnostics = Diagnostics()
    source = read_text(text, diagnostics, name="f")
    assert [each.name for each in source.statements] == ["a", "end"]
    assert [(str(each.position), each.code) for each in diagnostics] == [("f:33:3", "nested-too-deep")]
    assert len(repr(source)) > 0, "the tree is shallow enough for functions that call themselves"


def test_a_large_file_is_read_whole() -> None:
    block = "vrrp_instance VI_{0} {{\n  priority 5 # c\n  virtual_ipaddress {{\n    10.0.0.1\n  }}\n}}\n"
    source = read_text("".join(block.format(number) for number in range(2000)), Diagnostics())
    assert len(source.statements) == 2000
    assert str(source.statements[-1].arguments[0]) == "VI_1999"


def test_read_takes_bytes_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_bytes(b"auth_pass p\xe9ss\r\nrouter_id \xc3\xa9\r\n")
    source = read(str(file), Diagnostics(), config_id="", environ={})
    assert str(source.statements[0].arguments[0]).encode("utf-8", "surrogateescape") == b"p\xe9ss"
    assert str(source.statements[1].arguments[0]) == "é"
    assert source.files == (str(file),)


@pytest.mark.parametrize("name", ["missing.conf", "."])
def test_a_file_that_can_not_be_read_at_all(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the kind is the system's
        read(str(tmp_path / name), Diagnostics(), config_id="", environ={})


def test_every_finding_has_a_hint_and_is_one_line() -> None:
    text = (
        "\ufeffa\0\n<<<<<<< x\n}\n{\n// c\n'x\nb\"c\nx \\\n$A=1\nx $A. ${B} ${_RANDOM x}\n$K=$K\n$K\n"
        "~SEQ(x)\n~SEQ(x,1)\n"
        "include nope\ninclude\ninclude_check +x\n@y a {\n\nx\\#y\n\udce9\xa0 a{@a b}\na { b {\n" + "y" * 1100
    )
    diagnostics = Diagnostics()
    read_text(text, diagnostics, name="f")
    assert len({each.code for each in diagnostics}) >= 20
    for each in diagnostics:
        assert each.hint, each
        assert "\n" not in str(each)
        assert str(each).isprintable()
        assert each.position.line >= 1
        assert (each.severity is Severity.ERROR) or not each.fatal


def test_the_files_that_keepalived_ships_or_people_publish_have_nothing_to_report() -> None:
    text = """! Configuration File for keepalived
global_defs {
   notification_email {
     acassen@firewall.loc
   }
   router_id LVS_DEVEL
   vrrp_skip_check_adv_addr
   vrrp_garp_interval 0
}

vrrp_script chk {
    script "pidof haproxy || exit 1"   # a shell is needed
    weight -2
}

vrrp_instance VI_1 {
    state BACKUP
    unicast_peer { 192.168.200.12 }
    virtual_ipaddress {
        192.168.200.16/24 dev eth0 label eth0:1
        fe80::1
    }
}
"""
    assert found(text) == []
