"""The daemon with the checks and the real-server side of dnslb as its only plugin: `real_server_daemon.py FILE`."""

import logging
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from dnslb.plugin import DNS_CHECK, DnsPlugin
from dnslb.real_server.block import KEYWORDS, LOCAL_REAL_SERVER, read_blocks
from dnslb.real_server.holdings import Holdings
from dnslb.real_server.service import RealServerService
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.daemon import logs, main, plugins
from pyvrrp.daemon.options import RunOptions


class Plugin:
    name = "dnslb"
    keywords = (*DnsPlugin.keywords, *KEYWORDS)
    instance_keywords = DnsPlugin.instance_keywords

    def __init__(self):
        self._holdings = Holdings()

    def configure(self, config, diagnostics):
        checks = [block for block in config.plugin_blocks if block.name == DNS_CHECK]
        # That nothing but ours tracks a check is no finding here.
        specs = DnsPlugin().configure(replace(config, plugin_blocks=tuple(checks)), Diagnostics()).trackers
        asked = {block.arguments[0].text: ip_address("127.0.0.1") for block in checks}
        blocks = [block for block in config.plugin_blocks if block.name == LOCAL_REAL_SERVER]
        return Service(read_blocks(blocks, asked, diagnostics), self._holdings, specs)


class Service(RealServerService):
    def gates(self, instance):
        return ()


if __name__ == "__main__":
    logs.setup(logs.LogOptions(level=logging.INFO))
    plugins.load = lambda: [Plugin()]
    sys.exit(main.run(RunOptions(config_file=Path(sys.argv[1]).absolute())))
