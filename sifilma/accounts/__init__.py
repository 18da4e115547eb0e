"""Organisations, people, permissions, sign-in, sessions, API keys."""
