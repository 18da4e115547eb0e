"""Whether a secret could be guessed. The functions say why, and never repeat any part of the secret."""

from __future__ import annotations

from itertools import pairwise

PLACEHOLDERS = ("changeme", "change-me", "change_me", "contoh", "example", "ganti", "password", "rahasia", "sandi", "secret", "sifilma")
MOSTLY = 0.75
"""The share of neighbours that follow one another (`1234`, `aaaa`, `fedc`) from which on a text counts as a row. By chance it is 0.3."""


def weakness(secret: str, *, least: int, different: int) -> str:
    """Return why a secret is weak, as the end of the sentence "It …", or an empty text.

    `least` is the number of characters that it must have, `different` how many of them must differ.
    """
    if len(secret) < least:
        return f"is too short: at least {least} characters"
    if len(set(secret)) < different:
        return f"repeats few characters: at least {different} different ones"
    if secret in (secret + secret)[1:-1]:
        return "repeats a shorter text"
    if _follow_one_another(secret):
        return "is a row of characters that follow one another"
    if any(word in secret.lower() for word in PLACEHOLDERS):
        return "contains a word of examples"
    return ""


def _follow_one_another(secret: str) -> bool:
    near = sum(abs(ord(one) - ord(other)) <= 1 for one, other in pairwise(secret))
    return near > MOSTLY * (len(secret) - 1)
