"""Catalogue definitions: one YAML file a catalogue, and the code that reads and checks them."""

from xcat.catalogues.definition import Definition, available, load

__all__ = ["Definition", "available", "load"]
