"""The commands of the command line that run in one process, and their output."""
