"""Plain types of every layer: no I/O, no HTTP, no SQL."""
