"""Pure planning: index + strategy + selection in, cuts out. No I/O happens here."""
