"""Tokens: made at approval, sealed for showing, matched at activation."""
