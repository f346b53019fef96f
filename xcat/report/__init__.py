"""What people look at: the evidence of a source, the report of a run, models, candidates."""
