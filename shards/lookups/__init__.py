"""Lookups of addresses and ports of alarms: threat intelligence and vulnerabilities."""
