"""Manifests issued anew with the same binding, without anybody asking: because their key was compromised, replaced or ends."""
