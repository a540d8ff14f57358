"""Plain values without I/O: records, events, checks, errors, and what they are made of."""
