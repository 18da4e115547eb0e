"""Signing in: password, second factors, sessions, and the gate that every request passes."""
