"""The wiring of social profiles."""

from coffee_core.domain.plan import Plan
from coffee_core.rest.container import Container, Module, Mounted
from modules.social_profile.resources import INSTAGRAM, YOUTUBE


class SocialProfileModule:
    """Needs nobody; others ask `ProfileNumbersService` for numbers."""

    name = "social_profile"
    service = "social-profile-service"
    migrations = "modules.social_profile.migrations"

    def mount(self, container: Container) -> Mounted:
        """Both platforms."""
        return Mounted(plan=Plan.FREE, routes=[*INSTAGRAM.api(container).routes(), *YOUTUBE.api(container).routes()])


SOCIAL_PROFILE: Module = SocialProfileModule()
