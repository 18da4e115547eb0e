"""Benchmarks: what operations cost, as ratios that are measured in one run. `make bench` runs them."""
