"""Positions on the sphere, the density map of a catalogue, and the only code that runs q3c joins."""
