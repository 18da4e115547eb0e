"""Issued manifests: lists, download, revocation."""
