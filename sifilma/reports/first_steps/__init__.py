"""The first steps of an organisation that begins: what is done, and what comes next."""
