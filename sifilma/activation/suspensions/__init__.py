"""Proposals to suspend a card because its place was rejected, with a deadline; and what answers or lifts them."""
