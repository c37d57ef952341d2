"""Brokers: in this process, and by URL."""
