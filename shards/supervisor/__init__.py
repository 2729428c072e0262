"""The supervisor process: starts, watches and stops the others, and writes the alarm files."""
