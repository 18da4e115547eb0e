"""One search over cards, units, letters, handovers, destructions, organisations and people, from every page."""
