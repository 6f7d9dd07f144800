"""include and its kinds, on real files. What keepalived 2.2.7 does was measured."""

import os
from pathlib import Path

import pytest

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.reader import read, read_text


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "a.conf").write_text("from_a ${_PWD}\n")
    (tmp_path / "b.conf").write_text("from_b\ninclude d/c.conf\nend_b\n")
    (tmp_path / "d" / "c.conf").write_text("from_c\ninclude ../a.conf")
    return tmp_path / "keepalived.conf"


def names(conf: Path, *lines: str) -> list[str]:
    conf.write_text("\n".join(lines))
    source = read(str(conf), Diagnostics(), config_id="main", environ={})
    return [statement.name for statement in source.statements]


def found(conf: Path, *lines: str) -> list[tuple[str, str, bool]]:
    conf.write_text("\n".join(lines))
    diagnostics = Diagnostics()
    read(str(conf), diagnostics, config_id="main", environ={})
    return [(f"{Path(each.position.file).name}:{each.position.line}", each.code, each.fatal) for each in diagnostics]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("include a.conf", ["from_a"]),
        ("  include\ta.conf  # comment", ["from_a"]),
        ("include d/c.conf", ["from_c", "from_a"]),
        ("include *.conf.d/*", []),
        ("include [ab].conf", ["from_a", "from_b", "from_c", "from_a", "end_b"]),
        ("include {d/{x,c},a}.conf", ["from_c", "from_a", "from_a"]),
        ("include {a,a}.conf", ["from_a", "from_a"]),
        ("@main include a.conf", ["from_a"]),
        ("@other include a.conf", []),
        ("~LST(f, a, d/c) include ${f}.conf", ["from_a", "from_c", "from_a"]),
        ("includea a.conf", ["from_a"]),
        ("includex a.conf", ["includex"]),
    ],
)
def test_what_is_included(conf: Path, line: str, expected: list[str]) -> None:
    assert names(conf, "first", line, "last") == ["first", *expected, "last"]


def test_an_absolute_name_and_a_name_from_a_definition(conf: Path) -> None:
    assert names(conf, f"include {conf.parent}/a.conf") == ["from_a"]
    assert names(conf, "$F=a.conf", "include $F", "$LINE=include a.conf", "$LINE") == ["from_a", "from_a"]


def test_files_and_positions(conf: Path) -> None:
    conf.write_text("include b.conf\nx")
    source = read(str(conf), Diagnostics(), config_id="", environ={})
    home = conf.parent
    assert source.files == (str(conf), f"{home}/b.conf", f"{home}/d/c.conf", f"{home}/d/../a.conf")
    assert [str(each.position) for each in source.statements] == [
        f"{home}/b.conf:1:1",
        f"{home}/d/c.conf:1:1",
        f"{home}/d/../a.conf:1:1",
        f"{home}/b.conf:3:1",
        f"{conf}:2:1",
    ]
    assert str(source.statements[2].arguments[0]) == str(home), "_PWD is the directory of the file that is read"


def test_a_block_may_be_in_a_file_of_its_own_or_open_across_files(conf: Path) -> None:
    (conf.parent / "open.conf").write_text("vrrp_instance V {\n")
    conf.write_text("include open.conf\npriority 5\n}")
    diagnostics = Diagnostics()
    (instance,) = read(str(conf), diagnostics, config_id="", environ={}).statements
    assert [each.name for each in instance.body or ()] == ["priority"]
    assert not list(diagnostics)


def test_an_include_behind_a_brace(conf: Path) -> None:
    text = "virtual_ipaddress { include a.conf }\nx { include {a,d/c}.conf }\ny"
    conf.write_text(text)
    diagnostics = Diagnostics()
    source = read(str(conf), diagnostics, config_id="", environ={})
    assert [(each.name, [line.name for line in each.body or ()]) for each in source.statements] == [
        ("virtual_ipaddress", ["from_a"]),
        ("x", ["from_a", "from_c", "from_a"]),
        ("y", []),
    ]
    assert [(each.position.line, each.position.column, each.code) for each in diagnostics] == [
        (1, 21, "inside-line"),
        (2, 5, "inside-line"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("include nope", ("include-missing", False)),
        ("include nope*", None),
        ("include {a,nope}.conf", ("include-missing", False)),
        ("includer nope", ("include-missing", False)),
        ("includer nope*", None),
        ("includem nope", ("include-missing", True)),
        ("includem nope*", None),
        ("includew nope", ("include-missing", True)),
        ("includew nope*", ("include-missing", True)),
        ("includew {a,nope*}.conf", None),
        ("includeb nope", ("include-missing", False)),
        ("includeb {a,nope}.conf", ("include-missing", True)),
        ("includea {a,nope*}.conf", ("include-missing", True)),
        ("include d", ("include-unreadable", False)),
        ("includer d", ("include-unreadable", True)),
        ("includea d", ("include-unreadable", True)),
        ("include", ("include-without-file", False)),
    ],
)
def test_what_must_be_there(conf: Path, line: str, expected: tuple[str, bool] | None) -> None:
    assert found(conf, line) == ([("keepalived.conf:1", *expected)] if expected else [])


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("line", "fatal"), [("include pipe", False), ("include [p]*", False), ("includer pipe", True)])
def test_a_pipe_is_not_waited_for(conf: Path, line: str, fatal: bool) -> None:
    os.mkfifo(conf.parent / "pipe")
    assert found(conf, line, "more") == [("keepalived.conf:1", "include-unreadable", fatal)]


@pytest.mark.parametrize(
    ("check", "line", "fatal"),
    [
        ("include_check", "include nope*", True),
        ("include_check match", "include nope", True),
        ("include_check match", "include nope*", None),
        ("include_check wildcard_match brace_match", "include nope*", True),
        ("include_check\ninclude_check -wildcard_match -match", "include nope", False),
        ("include_check readable\ninclude_check +match", "include nope", True),
        ("include_check readable", "include d", True),
    ],
)
def test_include_check(conf: Path, check: str, line: str, fatal: bool | None) -> None:
    assert [fatal for _, _, fatal in found(conf, check, line)] == ([] if fatal is None else [fatal])


def test_include_check_holds_until_the_end_of_the_file_that_sets_it(conf: Path) -> None:
    (conf.parent / "strict.conf").write_text("include_check\ninclude nope1\n")
    assert found(conf, "include strict.conf", "include nope2") == [
        ("keepalived.conf:2", "include-missing", False),
        ("strict.conf:2", "include-missing", True),
    ]


def test_an_unknown_option_of_include_check(conf: Path) -> None:
    assert found(conf, "include_check +foo") == [("keepalived.conf:1", "bad-include-check", False)]


def test_quotes_are_part_of_the_name_and_the_hint_says_so(conf: Path) -> None:
    conf.write_text('include "a.conf"')
    diagnostics = Diagnostics()
    read(str(conf), diagnostics, config_id="", environ={})
    assert [each.hint for each in diagnostics] == ["write the name without quotes: they are taken as part of it"]


def test_loops_are_reported_with_their_files(conf: Path) -> None:
    (conf.parent / "x.conf").write_text("x\ninclude y.conf\n")
    (conf.parent / "y.conf").write_text("y\ninclude x.conf\n")
    assert names(conf, "include x.conf", "end") == ["x", "y", "end"]
    assert found(conf, "include x.conf") == [("y.conf:2", "include-loop", False)]
    assert found(conf, "include keepalived.conf") == [("keepalived.conf:1", "include-loop", False)]
    (conf.parent / "link.conf").symlink_to(conf)
    assert found(conf, "include link.conf") == [("keepalived.conf:1", "include-loop", False)]


def test_includes_may_not_be_endlessly_deep(conf: Path) -> None:
    for number in range(30):
        (conf.parent / f"{number}.conf").write_text(f"n{number}\ninclude {number + 1}.conf\n")
    assert names(conf, "include 0.conf") == [f"n{number}" for number in range(16)]
    assert found(conf, "include 0.conf") == [("15.conf:2", "include-loop", False)]


def test_a_file_that_can_not_be_read_is_reported_and_the_rest_is_read(conf: Path) -> None:
    def refuse(path: str) -> str:
        if path.endswith("a.conf"):
            raise PermissionError(13, "Permission denied", path)
        return Path(path).read_text()

    conf.write_text("include a.conf\nend")
    diagnostics = Diagnostics()
    source = read(str(conf), diagnostics, config_id="", environ={}, read_file=refuse)
    assert [each.name for each in source.statements] == ["end"]
    assert [each.message for each in diagnostics] == [f"{conf.parent}/a.conf can't be read: Permission denied"]


def test_a_pattern_with_very_many_alternatives_ends(conf: Path) -> None:
    diagnostics = Diagnostics()
    read_text("include " + "{a,b}" * 40, diagnostics, name=str(conf))
    (missing,) = diagnostics
    assert missing.code == "include-missing"
    assert len(missing.message) < 300
