"""What is shown, in every form: query results with units, files, text for a terminal, colours of figures."""
