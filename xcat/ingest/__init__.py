"""Files to rows: readers, conversion to the standard columns, fetching."""
