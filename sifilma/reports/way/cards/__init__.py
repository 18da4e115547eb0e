"""The way of one card."""
