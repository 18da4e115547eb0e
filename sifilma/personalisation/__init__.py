"""Personalisation: requests for cards, their batches, approvals, and the results of the personalisation machines."""
