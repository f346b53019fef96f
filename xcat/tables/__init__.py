"""A user's table: what its header says, and which column is which quantity."""
