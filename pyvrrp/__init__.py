"""Keep an address answering: VRRPv2 and VRRPv3 for Linux, as a daemon and as a library.

    codec           Advertisement, decode, Discard, DiscardReason
    election        VirtualRouter, Parameters, State, the events and actions of pyvrrp.core.events, SyncGroup
    configuration   Config, VrrpInstance, VirtualAddress, load_config, load_config_text
    speaker         Speaker, to run in an asyncio loop of your own

The names are imported when they are first used: `import pyvrrp` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pyvrrp.config.diagnostics import Diagnostic, Diagnostics, Severity
    from pyvrrp.config.load import load as load_config
    from pyvrrp.config.load import load_text as load_config_text
    from pyvrrp.config.model import Config, SyncGroup, VirtualAddress, VrrpInstance
    from pyvrrp.core.advertisement import Advertisement, decode
    from pyvrrp.core.discard import Discard, DiscardReason
    from pyvrrp.core.events import Phase, Reason, State, Transition
    from pyvrrp.core.parameters import Parameters
    from pyvrrp.core.virtual_router import VirtualRouter
    from pyvrrp.daemon.speaker import Speaker

__all__ = [
    "Advertisement",
    "Config",
    "Diagnostic",
    "Diagnostics",
    "Discard",
    "DiscardReason",
    "Parameters",
    "Phase",
    "Reason",
    "Severity",
    "Speaker",
    "State",
    "SyncGroup",
    "Transition",
    "VirtualAddress",
    "VirtualRouter",
    "VrrpInstance",
    "__version__",
    "decode",
    "load_config",
    "load_config_text",
]

_PLACES = {
    "Advertisement": "core.advertisement",
    "decode": "core.advertisement",
    "Discard": "core.discard",
    "DiscardReason": "core.discard",
    "Phase": "core.events",
    "Reason": "core.events",
    "State": "core.events",
    "Transition": "core.events",
    "Parameters": "core.parameters",
    "VirtualRouter": "core.virtual_router",
    "Config": "config.model",
    "SyncGroup": "config.model",
    "VirtualAddress": "config.model",
    "VrrpInstance": "config.model",
    "Diagnostic": "config.diagnostics",
    "Diagnostics": "config.diagnostics",
    "Severity": "config.diagnostics",
    "Speaker": "daemon.speaker",
}
_RENAMED = {"load_config": ("config.load", "load"), "load_config_text": ("config.load", "load_text")}


def __getattr__(name: str) -> object:
    from importlib import import_module

    place, attribute = _RENAMED.get(name) or (_PLACES.get(name), name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{place}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
