"""Tests of the `coffee` command."""
