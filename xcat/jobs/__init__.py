"""The stages and the pipeline: adapters between the database and the classifier."""
