"""ganbench: benchmarks of generative adversarial networks, as grids of reproducible cells."""

__version__ = "0.1.0"
