"""Detections of one mission to sources."""
