"""Organisations, people's accounts, invitations, changes that two people decide, and API keys."""
