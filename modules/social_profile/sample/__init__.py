"""Invented profiles for the demo."""
