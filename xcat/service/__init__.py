"""The service that runs by itself: pipelines at set times, workers that run them, and who is told how they ended."""
