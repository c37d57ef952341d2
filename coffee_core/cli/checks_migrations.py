"""Are the tables those that this code was written for?"""

from coffee_core.cli.findings import Finding, bad, fine
from coffee_core.cli.migrate import histories
from coffee_core.domain.errors import UnavailableError
from coffee_core.persistence.migrations.runner import pending
from coffee_core.persistence.settings import DatabaseSettings


async def check_migrations() -> list[Finding]:
    """What is not applied; nothing where no database is named, as `coffee up` migrates its own."""
    url = DatabaseSettings().url.get_secret_value()
    if not url:
        return []
    try:
        missing = await pending(url, histories())
    except UnavailableError:  # which the check of the server has said
        return []
    if missing:
        return [bad(f"migrations are pending: {', '.join(missing)}", "run `coffee migrate`")]
    return [fine("every migration is applied")]
