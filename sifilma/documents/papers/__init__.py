"""How papers are laid out by typst: as a whole, or in parts."""
