"""Reads directives and assets: JSON documents, checks, conditions, rules, and the routing index."""
