"""Saved searches and recent work of a partner, fed by the events of other modules."""
