"""The key that Locust's users send to a server with authentication: --api-key or MARQUEE_API_KEY."""

from __future__ import annotations

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment


@events.init_command_line_parser.add_listener
def add_option(parser: LocustArgumentParser) -> None:
    """Declare --api-key."""
    parser.add_argument("--api-key", env_var="MARQUEE_API_KEY", default="", include_in_web_ui=False)


def signed(environment: Environment) -> dict[str, str]:
    """Headers that say who is calling; none without a key."""
    api_key = getattr(environment.parsed_options, "api_key", "")
    return {"authorization": f"Bearer {api_key}"} if api_key else {}
