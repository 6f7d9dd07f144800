"""A DRBD pair, its file system and its services follow the address."""
