"""The example company and its events; make_events.py puts them together."""
