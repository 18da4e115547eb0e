"""Many manifests in one file."""
