"""Postgres: tables, transactions, one function per question, and the journal."""
