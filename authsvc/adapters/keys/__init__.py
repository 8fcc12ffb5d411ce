"""The keys: one folder of secrets, what signs with them, and what registries are given to verify with."""
