"""The operator's review of places."""
