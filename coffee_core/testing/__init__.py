"""Contract suites and fixtures that a module author imports."""
