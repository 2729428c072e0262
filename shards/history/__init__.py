"""The history of the last day: alarms, incidents and samples of the service in a bounded file."""
