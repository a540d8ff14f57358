"""Pure functions: they decide from values and call nothing outside."""
