"""Words, quotes, comments and braces of one line. Expected words were measured with keepalived 2.2.7."""

import pytest

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.lexer import Brace, tokens, without_comment
from pyvrrp.config.quoting import command_words, unquoted
from pyvrrp.config.text import Text


def words_of(line: str) -> list[str]:
    text = without_comment(Text.of_line(line, "f", 1), Diagnostics())
    return [("{" if t.opens else "}") if isinstance(t, Brace) else t.text for t in tokens(text, Diagnostics())]


def codes_of(line: str) -> list[tuple[str, int]]:
    found = Diagnostics()
    list(tokens(without_comment(Text.of_line(line, "f", 1), found), found))
    return [(each.code, each.position.column) for each in found]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("priority 100", ["priority", "100"]),
        ("\t priority\t 100 \r", ["priority", "100"]),
        ("", []),
        ("virtual_server 10.0.0.1 80{", ["virtual_server", "10.0.0.1", "80", "{"]),
        ("track_script { chk }", ["track_script", "{", "chk", "}"]),
        ("a{b}c{d}", ["a", "{", "b", "}", "c", "{", "d", "}"]),
        ('router_id "a  b{}"', ["router_id", "a  b{}"]),
        ('a"b c"d', ["a", "b c", "d"]),
        ('"q1 q2" z', ["q1 q2", "z"]),
        ('"" w', ["", "w"]),
        ("router_id 'a b'", ["router_id", "'a", "b'"]),
        ("it's ' a", ["it's", "'", "a"]),
        (r"router_id a\\b", ["router_id", r"a\\b"]),
        (r'router_id "a\!b"', ["router_id", r"a\!b"]),
        ("nbsp\xa0x", ["nbsp\xa0x"]),
        ("- = ~x 80", ["-", "=", "~x", "80"]),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("w5 # comment", ["w5"]),
        ("w5#x", ["w5"]),
        ("w5!x", ["w5"]),
        ("! whole line", []),
        ('w "#" x # c', ["w", "#", "x"]),
        ('auth_pass "pa#s!" # c', ["auth_pass", "pa#s!"]),
        ("auth_pass pa!ss", ["auth_pass", "pa"]),
        ("w24 'a#b'", ["w24", "'a"]),
        (r'w "a \" # b" # c', ["w", "a \\", "#", "b"]),
        ('w "open # c', ["w", "open"]),
        (r"w a\#b", ["w", "a#b"]),
        (r"w a\!b # c", ["w", "a!b"]),
        (r"w a\\#b", ["w", "a\\\\"]),
    ],
)
def test_comments(line: str, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r'notify "/bin/echo \"hi\" there"', ["notify", '/bin/echo "hi" there']),
        ('notify /bin/ec"ho x" root', ["notify", "/bin/echo x", "root"]),
        ("notify '/bin/echo \"a b\" c'", ["notify", '/bin/echo "a b" c']),
        ("notify \"/bin/echo 'a b' c\" user", ["notify", "/bin/echo 'a b' c", "user"]),
        (r"script /bin/echo\ a", ["script", "/bin/echo a"]),
        ('script "/bin/echo ${UNDEF} {x}"', ["script", "/bin/echo ${UNDEF} {x}"]),
        (r'notify "a \" # b" # c', ["notify", 'a " # b']),
        ("vrrp_script script { script 'a b' }", ["vrrp_script", "script", "{", "script", "a b", "}"]),
    ],
)
def test_script_lines_have_escapes_and_two_kinds_of_quotes(line: str, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('foo "x', [("unterminated-quote", 5)]),
        ('router_id "abc" def"', [("unterminated-quote", 20)]),
        ("notify /bin/x it's", [("unterminated-quote", 17)]),
        ('auth_pass a"b"', [("quote-inside-word", 12)]),
        ('track_script {"a"}', []),
        ("interface 'eth0'", [("single-quote", 11)]),
        ("// interface eth0 {", [("slash-comment", 1)]),
        ("state MASTER // or BACKUP", [("slash-comment", 14)]),
        ("state MASTER //BACKUP", [("slash-comment", 14)]),
        ("notify //usr/bin/x", []),
        ("x http://a/b", []),
        ("priority\xa0100", [("lookalike-character", 9)]),
        ("router_id “a”", [("lookalike-character", 11)]),
        (r"auth_pass a\#b", [("escaped-comment-character", 12)]),
        (r'notify "sh -c \"{ a; }\""', [("brace-in-script", 8)]),
        ('notify "sh -c {a}"', []),
    ],
)
def test_what_is_reported(line: str, found: list[tuple[str, int]]) -> None:
    assert codes_of(line) == found


def test_nothing_behind_a_slash_comment_is_read() -> None:
    assert words_of('state MASTER // "quoted" { }') == ["state", "MASTER"]


def test_a_block_is_opened_behind_a_quote_that_is_not_closed() -> None:
    # keepalived swallows the brace and then finds a } too many; one mistake should be one error
    assert words_of('vrrp_instance "VI_1 {') == ["vrrp_instance", "VI_1", "{"]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (r"\x41\101", "AA"),
        (r"\x4142", "B"),
        (r"\1234", "S4"),
        (r"\8\q", "8q"),
        (r"\a\b\E\f\n\r\t\v", "\a\b\x1b\f\n\r\t\v"),
        (r"\cA", "\x01"),
        (r"\x", "x"),
        (r"\\ \"", '\\ "'),
        (r"ab\0cd", "ab"),
        (r"\xc3\xa9", "é"),
        (r"\xe9", "\udce9"),
        ('"it\'s"', "it's"),
        ("'say \"x\"'", 'say "x"'),
        ("a\\", "a"),
    ],
)
def test_escapes(word: str, text: str) -> None:
    assert unquoted(word) == text


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/bin/echo 'a b' c", ("/bin/echo", "a b", "c")),
        ('/bin/echo "a b" c', ("/bin/echo", "a b", "c")),
        (" /bin/echo \t a   b ", ("/bin/echo", "a", "b")),
        ("/bin/echo 'it''s' {x} ''", ("/bin/echo", "its", "{x}", "")),
        ("", ()),
    ],
)
def test_words_of_a_command(command: str, words: tuple[str, ...]) -> None:
    assert command_words(command) == words


def test_a_command_with_an_open_quote_is_refused() -> None:
    with pytest.raises(ValueError, match="' is not closed"):
        command_words("/bin/echo it's")


def test_positions_are_columns_of_the_line() -> None:
    line = Text.of_line('  auth_pass  "x y" {', "f", 7)
    assert [str(token.position) for token in tokens(line, Diagnostics())] == ["f:7:3", "f:7:14", "f:7:20"]
