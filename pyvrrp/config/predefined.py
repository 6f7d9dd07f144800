"""Parameters that need no definition: `_PWD`, `_INSTANCE`, `_RANDOM`, `_ENV`, `_HASH`, `_BANG`."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping

_NUMBER = re.compile(r"[0-9]{1,18}")


class Predefined:
    """The built-in parameters of one reading."""

    def __init__(self, *, instance: str, environ: Mapping[str, str], random_seed: int | None) -> None:
        self._instance = instance
        self._environ = environ
        self._random = random.Random(random_seed)

    def seed(self, number: int) -> None:
        """Start `${_RANDOM}` anew (`random_seed`)."""
        self._random.seed(number)

    def value(self, name: str, words: list[str], directory: str) -> str | None:
        """What a name, with the words behind it in the braces, stands for; None: it is not predefined.

        ValueError: the words do not suit it, or the environment has no such variable.
        """
        match name:
            case "_RANDOM":
                return self._number(words)
            case "_ENV":
                return self._variable(words)
            case "_PWD" | "_INSTANCE" | "_HASH" | "_BANG" if words:
                raise ValueError(f"{name} takes nothing")
            case "_PWD":
                return os.path.realpath(directory)
            case "_INSTANCE":
                return self._instance
            case "_HASH":
                return "#"
            case "_BANG":
                return "!"
            case _:
                return None

    def _number(self, words: list[str]) -> str:
        if len(words) > 2 or not all(_NUMBER.fullmatch(word) for word in words):
            raise ValueError("_RANDOM takes the least and the greatest number, whole and not negative")
        least, greatest = [*map(int, words), *(0, 32767)[len(words) :]]
        if least > greatest:
            raise ValueError(f"_RANDOM: {least} is greater than {greatest}")
        return str(self._random.randint(least, greatest))

    def _variable(self, words: list[str]) -> str:
        if len(words) != 1:
            raise ValueError("_ENV takes the name of an environment variable")
        try:
            return self._environ[words[0]].replace("\n", " ")
        except KeyError:
            raise ValueError(f"the environment has no {words[0]}") from None
