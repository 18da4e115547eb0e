"""The database's schema: every table in one place, migrations, and the comparison with the code."""
