"""The audit trail as people read it: lists, entries and proofs, over the log in `sifilma/audit`."""
