"""Detections to sources, and sources of several missions to master sources."""
