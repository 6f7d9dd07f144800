"""A measured hand-over and back: checked on both nodes first, timed by steps and by what a client sees."""
