"""One statement for many rows, on PostgreSQL: what is done for one row is done for a set, under the same conditions."""
