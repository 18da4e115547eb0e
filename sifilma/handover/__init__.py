"""Who gave which cards to whom: the chain of BAST."""
