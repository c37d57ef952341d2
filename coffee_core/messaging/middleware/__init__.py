"""Around every handler, outermost first: context, transaction, retry, recoverer (PLATFORM section 6)."""
