"""Accounts that are limited to outlets of their organisation."""
