"""Headers of a request that reach the model as parameters, where a pattern of their names is given."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bento.inference.core.messages import InferRequest


class ForwardedHeaders:
    """Which headers are forwarded: those in whose names the pattern is found, in letters of either case."""

    def __init__(self, pattern: str) -> None:
        """Raises: re.error."""
        self._pattern = re.compile(pattern, re.IGNORECASE)

    def add_to(self, request: InferRequest, headers: Iterable[tuple[str, str]]) -> None:
        """Make parameters of them, under their names in small letters; they come before those of the request itself."""
        forwarded = {name: value for name, value in headers if self._pattern.search(name)}
        if forwarded:
            request.parameters = {**request.parameters, **forwarded}
