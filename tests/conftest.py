"""What holds for all tests: a property is about what comes out, not about how fast; benchmarks measure that."""

from hypothesis import settings

settings.register_profile("pyvrrp", deadline=None)
settings.load_profile("pyvrrp")
