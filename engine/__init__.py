"""Correlation: pure functions and state machines without clock, file or socket."""
