"""What Alembic runs for each step; the connection and its transaction are the journal's."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    # SQLite can't change a column; where that is needed, Alembic copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
