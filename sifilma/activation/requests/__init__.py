"""Activation requests: drafts, submission, approval."""
