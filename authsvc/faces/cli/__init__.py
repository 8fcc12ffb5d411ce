"""The command line on the server's own console; it calls the same operations as the API."""
