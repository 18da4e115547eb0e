"""Organisations, people and accounts; which operations each may use, and whose rows they see."""
