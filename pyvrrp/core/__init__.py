"""The pure core: the standard library only; no socket, clock, log, random or asyncio."""
