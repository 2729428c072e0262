"""Lookup plugins: their interface, their registry, and the built-in ones."""
