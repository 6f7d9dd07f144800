"""Whatever a file says, the model is built or the findings say why not; nothing raises."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.keywords import Body, Keyword
from pyvrrp.config.lint import lint
from pyvrrp.config.semantics import build
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.tables import ROOT


class Plugin:
    keywords = (
        Keyword(
            name="vrrp_dns_check",
            words=(1, 1),
            inline=True,
            body=(Keyword(name="server", words=(1, 1)), Keyword(name="type", words=(0, 2))),
        ),
    )
    instance_keywords = (Keyword(name="track_dns", body=Body.LINES, repeatable=True),)


def _names(keywords: tuple[Keyword, ...]) -> list[str]:
    inner = [name for keyword in keywords if isinstance(keyword.body, tuple) for name in _names(keyword.body)]
    return [keyword.name for keyword in keywords] + inner


TABLE = (*ROOT, *Plugin.keywords)
KEYWORDS = sorted(set(_names(TABLE)))
_VALUES = """
    0 1 2 3 7 100 254 255 256 -1 0.4 1.5 40.95 99999999999 abc on off maybe MASTER BACKUP Master eth0 PASS AH pass
    192.0.2.1 192.0.2.1/24 192.0.2.1/99 2001:db8::1 2001:db8::1/64 fe80::1 ff02::12 224.0.0.18 fe80::1%eth0
    dev brd + - scope link label peer weight reverse noreverse min_ttl max_ttl /bin/true </etc/hosts A B C auto
"""
VALUES = _VALUES.split()
TEXTS = st.sampled_from([*VALUES * 5, *KEYWORDS]) | st.text(max_size=12)


BLOCKS = {keyword.name: keyword for keyword in TABLE if isinstance(keyword.body, tuple)}
NAMES = st.sampled_from(["A", "B", "C", "B C", ""])
ODD = st.sampled_from([False] * 19 + [True])
"now and then a block where none belongs, or none where one belongs"
LINES = st.lists(st.lists(TEXTS, min_size=1, max_size=5), max_size=4)
# Which keyword of the block, its words, the lines of its block, and whether its shape is odd.
CHOICES = st.lists(st.tuples(st.integers(0, 99), st.lists(TEXTS, max_size=3), LINES, ODD), max_size=12)
FILES = st.lists(
    st.tuples(st.sampled_from(["vrrp_instance"] * 4 + sorted(BLOCKS) + ["vrpp_instance"]), NAMES, CHOICES), max_size=6
)
# What a block needs to become a part of the model; a line that begins with + continues the block before it.
RUNS = {
    "vrrp_instance": ["interface eth0", "virtual_router_id 7", "virtual_ipaddress", "+ 192.0.2.1", "+ 2001:db8::1"],
    "vrrp_script": ["script /bin/true"],
    "vrrp_sync_group": ["group", "+ A B"],
    "garp_group": ["interface eth0"],
}


def line(texts: list[str], body: tuple[Statement, ...] | None = None) -> Statement:
    words = [Word(text, Position("x.conf", 3, 4), quoted=" " in text) for text in texts]
    return Statement(words[0], tuple(words[1:]), body)


def inside(keyword: Keyword, choices: list[tuple[int, list[str], list[list[str]], bool]]) -> list[Statement]:
    """The body of a block: keywords that the table has there, with arguments and blocks that it may not want."""
    table = keyword.body
    assert isinstance(table, tuple)
    body: list[Statement] = []
    for text in RUNS.get(keyword.name, ()):
        if text.startswith("+"):
            # Random options behind the address or the names.
            more = line([*text.split()[1:], *(option for _, texts, _, _ in choices[:1] for option in texts)])
            body[-1] = replace(body[-1], body=(*(body[-1].body or ()), more))
        else:
            body.append(line(text.split()))
    for number, texts, lines, odd in choices:
        chosen = table[number % len(table)]
        has_block = (chosen.body is not Body.NONE) is not odd
        if has_block and isinstance(chosen.body, tuple):
            lines = [[each.name, *texts] for each, texts in zip(chosen.body, lines, strict=False)]
        block = tuple(line(each) for each in lines) if has_block else None
        least, most = (0, 3) if odd else chosen.words
        body.append(line([chosen.name, *[*texts, *["1"] * least][: max(least, most or 3)]], block))
    return body


@settings(max_examples=200, deadline=None)
@given(FILES)
def test_nothing_raises(blocks: list[tuple[str, str, list[tuple[int, list[str], list[list[str]], bool]]]]) -> None:
    tree = [
        line([keyword, *name.split()], tuple(inside(BLOCKS.get(keyword, BLOCKS["vrrp_instance"]), choices)))
        for keyword, name, choices in blocks
    ]
    diagnostics = Diagnostics()
    config = build(tree, diagnostics, [Plugin()])
    lint(config, diagnostics)
    assert all("\n" not in str(found) for found in diagnostics)
    names = [instance.name for instance in config.instances]
    assert len(names) == len(set(names))
    assert {member for group in config.sync_groups for member in group.members} <= set(names)
    for instance in config.instances:
        advertised = [vip for vip in instance.virtual_addresses if not vip.excluded]
        assert tuple(vip.address for vip in advertised) == instance.parameters.addresses
        assert all(vip.address.version == instance.parameters.family for vip in advertised)
        assert bool(instance.unicast_peers) <= instance.unicast
