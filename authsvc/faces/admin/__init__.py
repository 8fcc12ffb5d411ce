"""The admin API: REST over JSON; it translates, and decides nothing."""
