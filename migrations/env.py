"""Alembic's environment. `sifilma.schema.migrate` gives the connection, its lock and its transaction. There is no offline mode."""

from alembic import context

from sifilma.schema.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by rebuilding it
    compare_type=True,
    transaction_per_migration=False,  # one transaction for all: a failed upgrade leaves the database as it was
)
with context.begin_transaction():
    context.run_migrations()
