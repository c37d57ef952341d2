"""Invented series for the demo."""
