"""The ways of requests, BASTs and destructions."""
