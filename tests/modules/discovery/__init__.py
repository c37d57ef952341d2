"""Searches, pages, audiences and series of creators."""
