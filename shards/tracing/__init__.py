"""Spans of sampled events, as router and workers note them."""
