"""How the service is reached; faces only translate, and do not know one another."""
