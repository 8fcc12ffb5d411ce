"""What the service means: pure values and functions; no clock, no randomness, no I/O, standard library only."""
