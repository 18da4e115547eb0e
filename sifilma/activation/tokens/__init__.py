"""Tokens: made at approval, sealed so that they can be shown, compared at activation."""
