"""DaoProviders, one package a store, all held to the contract suite in coffee_core.testing."""
