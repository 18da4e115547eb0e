"""The manifest's file format and its verifier. Standard library, cryptography, pydantic and rfc8785 only."""
