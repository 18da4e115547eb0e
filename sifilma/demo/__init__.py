"""The demonstration: invented people at real organisations, and one card's whole life played over HTTP."""

from sifilma.demo.accounts import make_accounts
from sifilma.demo.play import play, tell_code

__all__ = ["make_accounts", "play", "tell_code"]
