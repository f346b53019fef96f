"""The command line: arguments in, messages out. What happens is in the rooms behind it."""
