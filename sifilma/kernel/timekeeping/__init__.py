"""Whether the clock can be trusted: signs of life, the watch that compares clocks, stops, and moments that a wrong clock dated ahead."""
