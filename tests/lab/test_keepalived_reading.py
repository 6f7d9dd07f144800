"""The same text is read by the real keepalived and by us: the first word of every line must be the same.

`keepalived -t` names each word that is no keyword at the top level; texts of such words show how it reads.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.reader import read
from pyvrrp.config.statements import Statement

TEXTS = {
    "comments": 'a # b\nc!d\n"e # f" g\n! h\n#\nk "l" # "m"\n',
    "quotes": 'a"b c"d\n\'e f\'\n"g h" i\nj\\k\nit\'s\n"" l\n',
    "braces": 'a { b } c { d }\ne{f}\n80{\n}\ng\n{\nh\n}\ni "}" j\nk {\n} l\n',
    "conditions": "@main a\n@other b\n@^main c\n@^other d\n @main\te\n@ f\n@^ g\n",
    "references": '$A=one\n$B=\n$A\nx${A}y\nx$A\n$A.b\n$A,b\n$A)\n"$A"\n"${A} b"\n${B}c\n$$A\n $A=two\n$A\n$U\n',
    "late replacement": "$X=${Y}.1\n$Y=5\n${X}a\n$Y=6\n${X}b\n",
    "lines": "$M= \\\n m1 { \\\n m2 # c \\\n }\n$M\np $M\n$N=n1 \\\n $M\n$N\n$M x\n",
    "lines in lines": "$R= \\\n r$n \\\n s\n$V= \\\n v \\\n $n=1 \\\n $R \\\n $n=2 \\\n $R\n$V\nend$n\n",
    "a blank line ends a definition": "$M= \\\na \\\n\nb\n$M\n",
    "sequences": "~SEQ(i,2) a$i\n~SEQ(i,3,1) b$i\n~SEQ(i,1,2,6) c$i\n~SEQ(i,-2) d$i\n~SEQx(i,9,11) e$i\n",
    "lists": "~LST(l,a,b) x$l\n~LST({p,q},{1,2},{3,4}) ${p}y$q\n~LST(l,a,b) ~SEQ(i,2) ${l}z$i\n",
    "wrong generators": "~SEQ(i,a) a\n~SEQ(i,1,0,2) b\n~LST(l) c\n~LST({p},{1,2}) d\n~SEQY(i,2) e\n~seq(i) f\n",
    "includes": "include inc.conf\ninclude n*.conf\n@main include inc.conf\n~SEQ(i,2) include inc.conf\nincludex a\n",
    "dirt": "<a\n-\n=\n~x\n@\na\r\nb\tc\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_first_words_are_those_that_keepalived_reads(name: str, tmp_path: Path) -> None:
    (tmp_path / "inc.conf").write_text('inc1 ${_PWD}\n"${_PWD}"\n')
    conf = tmp_path / "keepalived.conf"
    conf.write_text(TEXTS[name] + "the_end\n")
    diagnostics = Diagnostics()
    ours = list(_first_words(read(str(conf), diagnostics, config_id="main", environ={}).statements))
    assert ours == _keepalived(conf)


def _first_words(statements: tuple[Statement, ...]) -> Iterator[str]:
    for statement in statements:
        yield statement.name
        yield from _first_words(statement.body or ())


def _keepalived(conf: Path) -> list[str]:
    command = ["unshare", "-n", "keepalived", "-t", "-i", "main", "-f", str(conf)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20).stderr
    words = re.findall(r"^\(.*Line \d+\) Unknown keyword '(.*)'$", said, re.MULTILINE)
    words = words[: words.index("the_end") + 1]  # each of its processes says the same again
    return [word for word in words if word != "}"]
