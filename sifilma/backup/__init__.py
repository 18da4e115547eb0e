"""Backup and restore: one consistent point of everything that must not be lost, encrypted to an operator's key."""
