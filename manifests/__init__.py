"""The manifest's file format and its verifier (docs/manifest.md).

The package imports only the standard library, cryptography, pydantic and rfc8785, so that makers of readers can use it alone.
"""
