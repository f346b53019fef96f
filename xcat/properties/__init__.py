"""The properties stage: computes the properties of every source and of every counterpart hypothesis."""
