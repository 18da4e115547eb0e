"""From the request for cards to the personalised card."""
