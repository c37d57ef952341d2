"""Versions of this module's tables."""
