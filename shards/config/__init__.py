"""The configuration folder and its download from the frontend."""
