"""What the service does, one file per verb; operations own transactions and know no HTTP."""
