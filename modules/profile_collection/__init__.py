"""Collections of creators' profiles that a partner keeps, ranks and shares."""
