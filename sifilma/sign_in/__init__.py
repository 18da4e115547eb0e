"""Signing in: password, second factors, sessions, and the gate every request passes."""
