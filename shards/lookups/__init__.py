"""Threat intelligence and vulnerabilities: sources are asked, by plugins, in threads."""
