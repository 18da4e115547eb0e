"""The way of a card: where a request, card, BAST or destruction stands, who has it, and what comes next."""
