"""Statements that are built, compiled or planned once."""
