"""What correlation is: pure functions and state machines, no clock, no file, no socket."""
