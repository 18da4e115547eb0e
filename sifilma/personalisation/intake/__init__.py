"""Batches and results of any number of rows, taken in by the worker."""
