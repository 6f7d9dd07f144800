"""The block `storage NAME { }` of keepalived.conf: keywords, reading, and the checks of what it can't mean.

Every daemon loads the keywords, only one that has such a block the rest.
"""
