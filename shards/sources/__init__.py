"""Event sources: HTTP, NATS and recorded files."""
