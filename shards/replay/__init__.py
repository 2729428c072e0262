"""Recorded events through the engine, without processes."""
