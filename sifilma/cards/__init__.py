"""Cards and units, and the transition table of a card's life."""
