"""Versions of the framework's own tables for messages, in the schema `coffee`."""
