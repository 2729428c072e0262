"""Where correlation runs: all processes, pipes, sockets, files and clocks; no correlation rule."""
