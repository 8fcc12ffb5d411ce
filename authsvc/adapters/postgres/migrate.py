"""Migrations: bringing a database to the schema this version was made for, and asking whether it is there."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

import authsvc
from authsvc.core.errors import StartupError

_PACKAGED = Path(authsvc.__file__).parent / "_migrations"
_CHECKOUT = Path(authsvc.__file__).parent.parent / "migrations"


def upgrade(owner_url: str) -> None:
    """Run every migration that is missing, as the owner role; safe to repeat and to race, under a lock.

    Raises StartupError in one line when the database refuses.
    """
    config = _config()
    # Alembic interpolates its options, and a URL is full of per cent signs.
    url = owner_url.replace("postgresql://", "postgresql+psycopg://", 1).replace("%", "%%")
    config.set_main_option("sqlalchemy.url", url)
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        cause = str(error.orig).strip().splitlines()[0]
        raise StartupError(
            f"migrating failed: {cause}; OWNER_DATABASE_URL must be the owner of the database"
        ) from error


def head() -> str:
    """Return the revision this version needs."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise StartupError("the installation holds no migrations: install authsvc again")
    return found


async def check_migrated(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    """Raise StartupError when the database has another schema than this version needs."""
    try:
        row = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise StartupError("the database is not migrated: run 'authsvc migrate'") from error
    if row is None or row[0] != head():
        raise StartupError("the database has another schema than this version: run 'authsvc migrate'")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_PACKAGED if _PACKAGED.is_dir() else _CHECKOUT))
    return config
