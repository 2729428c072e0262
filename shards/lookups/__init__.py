"""Lookups of addresses and ports: threat intelligence and vulnerabilities."""
