"""Forms that were not finished: what was typed, the files that came with it, and forms that were sent already."""
