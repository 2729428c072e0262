"""The console: a web page that shows what the service sees, and the JSON behind it."""
