"""The router process: assigns each event to the workers whose directives it can concern."""
