"""The typed HTTP client for any module."""
