"""A published classification elsewhere, over the network: no database is needed, and nothing is kept."""
