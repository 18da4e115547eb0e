"""Activation by file, as a job of the worker."""
