"""What alembic runs around the version files of a module; modules carry only the versions."""

from alembic import context

config = context.config
schema = config.attributes["schema"]

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", version_table_schema=schema, literal_binds=True)
else:
    context.configure(
        connection=config.attributes["connection"],
        version_table_schema=schema,
        transaction_per_migration=True,  # what went well before a failure stays
    )
with context.begin_transaction():
    context.run_migrations()
