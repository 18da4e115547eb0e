"""Work is dispatched by an engine: procrastinate's own schema on PostgreSQL, no lease any more, and what became of each run.

The engine's SQL is that of the installed package. A database of a later version gets it whole, so the version is noted at the schema, and
a migration to a later version of the engine applies only what is missing.
"""

from importlib.metadata import distribution, version

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ENGINE = "procrastinate"
# Whoever calls a function has another search path: each gets its own, which also keeps out what others put before it.
BIND = f"""
DO $$
DECLARE one regprocedure;
BEGIN
    FOR one IN SELECT oid FROM pg_proc WHERE pronamespace = '{ENGINE}'::regnamespace LOOP
        EXECUTE 'ALTER FUNCTION ' || one::text || ' SET search_path = {ENGINE}, pg_temp';
    END LOOP;
END $$
"""  # noqa: S608  # a constant


def upgrade() -> None:
    op.create_table(
        "work_run",
        sa.Column("chore", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(36), nullable=False),
        sa.Column("node", sa.String(100), nullable=False),
        sa.Column("began_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(300), nullable=False),
        sa.Column("gave_up_at", MOMENT, nullable=True),
        sa.Column("paused_at", MOMENT, nullable=True),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_work_run_failures")),
        sa.PrimaryKeyConstraint("chore", "subject", name=op.f("pk_work_run")),
    )
    with op.batch_alter_table("job") as batch:
        batch.drop_column("taken_until")
        batch.add_column(sa.Column("paused_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("rate", sa.Double(), nullable=True))
        batch.add_column(sa.Column("measured_at", MOMENT, nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        bring_engine(op.get_bind())


def bring_engine(connection: sa.Connection) -> None:
    """Create the engine's schema from the SQL of the installed package, and note the version."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101
    sql = distribution(ENGINE).locate_file(f"{ENGINE}/sql/schema.sql").read_text(encoding="utf-8")
    connection.exec_driver_sql(f"CREATE SCHEMA {ENGINE}")
    path = connection.exec_driver_sql("SHOW search_path").scalar_one()
    connection.exec_driver_sql(f"SET LOCAL search_path TO {ENGINE}")
    driver.execute(sql)  # several statements, which the driver takes only without parameters
    connection.exec_driver_sql(BIND)
    connection.execute(sa.text("SELECT set_config('search_path', :path, true)"), {"path": path})
    connection.exec_driver_sql(f"COMMENT ON SCHEMA {ENGINE} IS '{ENGINE} {version(ENGINE)}'")
