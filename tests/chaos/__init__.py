"""What `make chaos` runs: every step of an act fails once, and processes are killed amid clients."""
