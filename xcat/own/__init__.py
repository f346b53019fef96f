"""A user's own table: matched, classified or evaluated, and written back in the user's order."""
