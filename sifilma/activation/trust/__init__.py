"""What verifiers outside need: keyset, certificates, status lists."""
