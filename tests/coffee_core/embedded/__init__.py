"""Tests of the embedded servers: with real processes, real signals and real files."""
