"""Settings: definition, command line, environment, settings file, validation."""
