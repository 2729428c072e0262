"""The example company and its day; make_events.py puts it together."""
