"""Lookup plugins: their interface, their registry, and those included."""
