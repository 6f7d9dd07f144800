"""keepalived.conf: text -> statements -> model, with diagnostics."""

from pyvrrp.config.load import Loaded, load, load_text

__all__ = ["Loaded", "load", "load_text"]
