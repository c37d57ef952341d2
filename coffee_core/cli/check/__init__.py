"""`coffee check`: what should be noticed before a release and not by its callers."""
