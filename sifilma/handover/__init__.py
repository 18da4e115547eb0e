"""Who gave which cards to whom: the chain of handovers (BAST)."""
