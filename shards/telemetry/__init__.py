"""The export of spans and metrics to an OpenTelemetry collector."""
