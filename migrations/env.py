"""Runs migrations as the owner role, one process at a time."""

from alembic import context
from sqlalchemy import create_engine, text

from authsvc.adapters.postgres.tables import metadata

MIGRATION_LOCK = 4_703_001

engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.run_migrations()
engine.dispose()
