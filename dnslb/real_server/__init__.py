"""The real server's own side of Direct Server Return: it answers for an address that it must not be found by."""
