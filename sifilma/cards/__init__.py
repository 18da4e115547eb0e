"""Cards and units, and the one transition table of a card's life."""
