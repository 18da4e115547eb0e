"""The audit log: an entry for every act and for refusals that matter, and the transparency log over these entries (RFC 6962)."""
