"""Communication between processes: messages, framing, pipes, start of child processes."""
