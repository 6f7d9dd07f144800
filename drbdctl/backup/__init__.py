"""Backups of a replicated volume, from an LVM snapshot of its backing device; mirroring is no backup."""
