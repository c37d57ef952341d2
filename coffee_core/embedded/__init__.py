"""Real servers from wheels, as child processes, for development and tests."""
