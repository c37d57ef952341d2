"""The parts of `coffee_core.testing.dao_provider.DaoProviderContract`, one subject a file."""
