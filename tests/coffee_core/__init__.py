"""Tests of coffee_core, in the order of its packages."""
