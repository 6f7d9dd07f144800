"""`python -m dnslb.real_server`: what a guard calls when the daemon can't undo its work."""

import argparse
import sys

from dnslb.real_server.cli import add_actions, run

parser = argparse.ArgumentParser(prog="dnslb realserver")
add_actions(parser)
sys.exit(run(parser.parse_args()))
