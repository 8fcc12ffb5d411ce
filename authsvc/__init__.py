"""authsvc: the realm of Docker and OCI registries, with roles, and a log that proves itself."""
