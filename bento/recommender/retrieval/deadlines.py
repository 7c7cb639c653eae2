"""How long each part of a recommendation may take: a deadline per source, inside that of the request. Pure.

request  |------------------------------------------------------|
sources  |-- sequence --|                                            each its own, and never beyond half
         |-- ease ----------|                                        of what the request has left
retrieval                    |-- fusion and search ---------|

hybrid   |-- all of it ------|                                        where there is such a model; after that the above,
                                                                      within what is left
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.sources import TIMED_SOURCES

SOURCES_SHARE = 0.5
"""Share of the time left that the sources may take: the rest is for the search with their embeddings."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Time limits in seconds, each from the start of its part."""

    source_s: float = 0.5
    """For a source that `sources_s` does not name."""
    retrieval_s: float = 1.0
    request_s: float = 2.0
    sources_s: Mapping[str, float] = field(default_factory=dict)
    """Of single ones of `TIMED_SOURCES`."""

    def of_request(self, now_ns: int) -> int:
        """When a request that starts now has to be answered, on the clock of `now_ns`."""
        return now_ns + _ns(self.request_s)

    def of_sources(self, now_ns: int, request_end_ns: int | None) -> dict[str, int]:
        """Source -> its deadline. `request_end_ns` None: the request has no deadline."""
        latest = _within(request_end_ns, now_ns, SOURCES_SHARE)
        own_s = {source: self.sources_s.get(source, self.source_s) for source in TIMED_SOURCES}
        return {source: min(now_ns + _ns(limit_s), latest) for source, limit_s in own_s.items()}

    def of_hybrid(self, now_ns: int, request_end_ns: int | None) -> int:
        """The deadline of all sources and the search in one inference: that of the most urgent source, so that a slow
        one is left out in time by the models one by one."""
        return min(self.of_sources(now_ns, request_end_ns).values())

    def of_retrieval(self, now_ns: int, request_end_ns: int | None) -> int:
        """The deadline of fusion and retrieval."""
        return min(now_ns + _ns(self.retrieval_s), _within(request_end_ns, now_ns, 1.0))


def _within(request_end_ns: int | None, now_ns: int, share: float) -> int:
    """The end of a share of the time left; an hour away where the request has no deadline."""
    if request_end_ns is None:
        return now_ns + _ns(3_600)
    return now_ns + max(0, int((request_end_ns - now_ns) * share))


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
