"""What must never go back is told to a witness: statements in an append-only row, apart from database, home and token."""
