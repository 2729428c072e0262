"""Why directives react to an event as they do."""
