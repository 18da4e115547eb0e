"""Outlets of an organisation: where its units stand, and who answers there."""
