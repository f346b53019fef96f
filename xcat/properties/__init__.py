"""The thirteen properties: their registry, and the job that computes them."""
