"""The outside world, behind types of core; adapters do not know one another."""
