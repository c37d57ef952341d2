"""The creator-analytics platform: modules on coffee_core."""
