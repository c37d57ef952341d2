"""Moves the bytes: client side, upstream side, pool, upgrade."""
