"""What strangers verify with: keyset, certificates, status lists."""
