"""Volunteers and watchlists: accounts, votes, and what people are told when a publication changes something."""
