"""The demo: an example company, its events and directives, and what shows its alarms."""
