"""virtual_server blocks of any words: the reader raises nothing, and the model that it makes holds together."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dnslb import config
from dnslb.forwarding import MAX_SERVICES
from pyvrrp.config.keywords import Keyword
from tests.unit.virtual_server_texts import read

_LIKELY = """
    0 1 2 53 4093 65536 -1 1.5 50% off on DNS UDP DR NAT TUN mh rr wlc group g fwmark 192.0.2.11 192.0.2.1-9 ::1
    192.0.2.0/28 2001:db8::53 02:00:5e:10:00:01 /bin/true sorry servfail www.example.com
"""
_WORDS = st.one_of(
    st.sampled_from(_LIKELY.split()),
    st.text(
        st.characters(codec="utf-8", exclude_characters='{}"#!@$~\\\n\r', exclude_categories=("Z", "C")), max_size=6
    ),
)


def _body(name: str) -> tuple[Keyword, ...]:
    body = next(keyword.body for keyword in config.KEYWORDS if keyword.name == name)
    assert isinstance(body, tuple)
    return body


_SERVER = [keyword.name for keyword in _body("virtual_server") if keyword.name != "real_server"]
_REAL = [keyword for keyword in _body("virtual_server") if keyword.name == "real_server"]
_OF_REAL = [keyword.name for keyword in _REAL[0].body]


def _lines(names):
    line = st.builds(lambda name, words: " ".join([name, *words]), st.sampled_from(names), st.lists(_WORDS, max_size=3))
    return st.lists(line, max_size=6)


def _block(head: str, words, lines) -> str:
    return "\n".join([f"{head} {' '.join(words)} {{", *lines, "}"])


_BLOCKS = st.lists(
    st.one_of(
        st.builds(
            lambda words, lines, servers: _block("virtual_server", words, [*lines, *servers]),
            st.one_of(st.just(["192.0.2.53", "53"]), st.just(["group", "g"]), st.lists(_WORDS, max_size=3)),
            _lines(_SERVER),
            st.lists(
                st.builds(
                    lambda words, lines: _block("real_server", words, lines),
                    st.one_of(st.just(["192.0.2.11", "53"]), st.lists(_WORDS, max_size=3)),
                    _lines([*_OF_REAL, "TCP_CHECK { }"]),
                ),
                max_size=3,
            ),
        ),
        st.builds(
            lambda lines: _block("virtual_server_group", ["g"], [" ".join(words) for words in lines]),
            st.lists(st.lists(_WORDS, min_size=1, max_size=3), max_size=3),
        ),
    ),
    max_size=3,
)


@given(_BLOCKS)
@settings(deadline=None)
def test_any_words(blocks):
    servers, diagnostics = read("\n".join(blocks) + "\n")
    for server in servers:
        assert server.endpoints
        assert server.protocols
        assert all(server.table_size % divisor for divisor in range(2, int(server.table_size**0.5) + 1))
        assert 1 <= server.quorum <= max(sum(real.weight for real in server.real_servers), 1)
        assert 0 <= server.hysteresis < server.quorum
        addresses = [real.address for real in server.real_servers]
        assert len(set(addresses)) == len(addresses)
        assert {real.port for real in server.real_servers} <= {endpoint.port for endpoint in server.endpoints}
    if not diagnostics.fatal:
        assert sum(len(server.endpoints) for server in servers) <= MAX_SERVICES
        assert all(server.real_servers for server in servers)
        assert len({server.name for server in servers}) == len(servers)
    for found in diagnostics:
        assert "\n" not in str(found)
        assert found.position.line > 0
