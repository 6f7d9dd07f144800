"""A command line of verbs: one module for each, of which only the one that is asked for is imported.

Nothing heavy is imported here, so that `--version` takes no longer than Python itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from pyvrrp import __version__

if TYPE_CHECKING:
    import argparse


class Verb(Protocol):
    """What the module of a verb has."""

    def add_parser(self, subparsers: Any) -> None:
        """Describe the verb and its arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it and return the exit status."""


def answer(program: str, arguments: Sequence[str], run: Callable[[], int]) -> int:
    """The version, or `run`, and what becomes of an interruption, a closed pipe and a mistake of ours: exit status."""
    if arguments[:1] in (["--version"], ["-v"]):
        print(f"{program} {__version__}")
        return 0
    try:
        return run()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `... status | head`: keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if os.environ.get("PYVRRP_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{program}: unexpected {what}; please report it with what PYVRRP_DEBUG=1 shows", file=sys.stderr)
        return 70


def run_verb(
    program: str,
    description: str,
    verbs: Mapping[str, str],
    arguments: Sequence[str],
    load: Callable[[str], Verb],
    *,
    epilog: str = "",
    **more: object,
) -> int:
    """Run the one of `verbs` (with a line of help each) that the arguments begin with: its exit status.

    It finds `more` among its parsed arguments. Raises SystemExit for `--help` and for arguments that argparse does not
    understand (status 2).
    """
    import argparse

    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter if epilog else argparse.HelpFormatter,
    )
    parser.add_argument("--version", "-v", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    chosen = None
    for name, text in verbs.items():
        if arguments[:1] == [name]:
            chosen = load(name)
            chosen.add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    parsed = parser.parse_args(arguments or ["--help"], argparse.Namespace(**more))
    assert chosen is not None  # argparse has refused every other verb
    return chosen.run(parsed)


def in_package(package: str) -> Callable[[str], Verb]:
    """The verbs that are modules of a package, each under its name."""

    def load(verb: str) -> Verb:
        module: Any = import_module(f"{package}.{verb.replace('-', '_')}")
        found: Verb = module
        return found

    return load
