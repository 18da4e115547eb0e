"""The demonstration: invented people at real organisations, who play the whole life of a card over HTTP."""

from sifilma.demo.accounts import make_accounts
from sifilma.demo.play import play, tell_code

__all__ = ["make_accounts", "play", "tell_code"]
