"""The database schema: all tables in one place, migrations, and the comparison of a database with the code."""
