"""The service around the engine: processes, pipes, sockets, files and clocks."""
