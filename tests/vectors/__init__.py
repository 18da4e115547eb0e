"""Manifests good and bad, with what each program is to say about them."""
