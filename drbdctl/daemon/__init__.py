"""One storage inside the running daemon: it looks, decides, acts, and remembers what it was doing."""
