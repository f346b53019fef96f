"""What people see: tables with their units, candidates, the evidence of a source, and the report of a run."""
