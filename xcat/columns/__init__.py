"""What every name means: the registry of columns, and that of the properties."""
