"""Test vectors: valid and invalid manifests, with the result that each program must give."""
