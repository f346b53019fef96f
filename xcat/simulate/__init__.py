"""A simulated sky: catalogue files as missions would deliver them, and the truth in separate files."""

from xcat.simulate.simulation import GENERATOR_VERSION, Summary, simulate

__all__ = ["GENERATOR_VERSION", "Summary", "simulate"]
