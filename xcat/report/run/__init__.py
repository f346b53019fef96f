"""The report of a classify run: the two-part table, and the page with figures."""
