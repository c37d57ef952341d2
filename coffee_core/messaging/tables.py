"""The framework's own tables: outbox, inbox, jobs."""

from coffee_core.persistence.migrations.runner import History

FRAMEWORK = History("coffee", "coffee_core.messaging.migrations")
"""Their history, applied before that of any module."""
