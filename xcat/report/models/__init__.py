"""What a model is, and which answers two models give differently."""
