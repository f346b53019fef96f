"""The pages that people look at: templates, styles and figures, each with a twin in JSON."""
