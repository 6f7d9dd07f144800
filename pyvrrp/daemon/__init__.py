"""The daemon: the pure core wired to the Linux edge."""
