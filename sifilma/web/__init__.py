"""The edge to HTTP: the application class, its request cycle, errors, layout."""
