"""Positional joins with q3c, and the probability that a candidate is the counterpart."""
