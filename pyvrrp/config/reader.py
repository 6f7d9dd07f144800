"""The entry point: a file, with everything that it includes, becomes statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyvrrp.config.blocks import statements
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.physical_lines import read_file as _read_file
from pyvrrp.config.predefined import Predefined
from pyvrrp.config.preprocessor import Preprocessor
from pyvrrp.config.statements import Statement


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: the statements at the top level, and the names of all files in the order of reading."""

    statements: tuple[Statement, ...]
    files: tuple[str, ...]


def read(
    path: str,
    diagnostics: Diagnostics,
    *,
    config_id: str,
    instance: str | None = None,
    environ: Mapping[str, str],
    random_seed: int | None = None,
    read_file: Callable[[str], str] = _read_file,
) -> Source:
    """Read a configuration file; what is wrong with its text goes to `diagnostics`.

    `config_id` is what `@id` lines are compared with (`-i`, by default the host name without its domain), `instance`
    what `${_INSTANCE}` stands for (by default the same), `environ` what `${_ENV NAME}` looks in. OSError: the file
    can't be read at all.
    """
    return read_text(
        read_file(path),
        diagnostics,
        name=path,
        config_id=config_id,
        instance=instance,
        environ=environ,
        random_seed=random_seed,
        read_file=read_file,
    )


def read_text(
    text: str,
    diagnostics: Diagnostics,
    *,
    name: str = "<text>",
    config_id: str = "",
    instance: str | None = None,
    environ: Mapping[str, str] | None = None,
    random_seed: int | None = None,
    read_file: Callable[[str], str] = _read_file,
) -> Source:
    """Read a configuration from a string; `name` stands for its file, also where includes are relative to it."""
    preprocessor = Preprocessor(
        config_id=config_id,
        predefined=Predefined(
            instance=config_id if instance is None else instance, environ=environ or {}, random_seed=random_seed
        ),
        read_file=read_file,
        diagnostics=diagnostics,
    )
    tree = statements(preprocessor.lines(text, name), diagnostics)
    return Source(tree, tuple(preprocessor.files))
