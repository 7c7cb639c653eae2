"""Whether Redis keeps what it acknowledged: what it evicts, what it writes to disk, and whether it takes writes at all.

Read from `INFO` of every primary, and from `CONFIG GET save` where that is permitted; managed servers often forbid it.
What cannot be read is reported as unknown, never as safe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from bento.background import Periodic
from bento.stores.connection.redis_link import RedisLink
from bento.stores.errors import StoreUnavailable

log = logging.getLogger("marquee.redis")

LOOK_INTERVAL_S = 2.0
"""How often every primary is asked; its answer takes it some 50 us."""

START_SAVE_TOLERANCE_S = 5
"""A server's `rdb_last_save_time` is the time of its start until it saves; both are read in whole seconds."""

Persistence = Literal["append_only_file", "snapshots", "none", "unknown"]
WORST_FIRST: tuple[Persistence, ...] = ("none", "unknown", "snapshots", "append_only_file")


@dataclass(frozen=True, slots=True)
class Primary:
    """What one server said of itself; None and "unknown" where it did not."""

    name: str
    """Host and port in a cluster, "" of a single server."""
    policy: str | None = None
    persistence: Persistence = "unknown"
    run_id: str = ""
    """Another one after each start of the server."""
    evicted_keys: int | None = None
    """Since the start of the server."""

    @property
    def evicts_all(self) -> bool:
        """Whether keys that never expire may be evicted: people, accounts and events are such."""
        return self.policy is not None and self.policy.startswith("allkeys-")


class RedisWarning(Struct, frozen=True):
    """Something about Redis that somebody should change."""

    name: str
    """eviction_policy, evictions, persistence or writes."""
    value: float
    message: str


class RedisReport(Struct, frozen=True):
    """How safe what Redis was given is."""

    data: Literal["kept", "may_be_lost", "unknown"]
    """may_be_lost: by eviction or by a restart, see `warnings`."""
    writes: Literal["taken", "refused"]
    """refused: Redis answers, and refused a write; none was taken since."""
    maxmemory_policy: list[str]
    """Of every primary, each policy once; "unknown" where it cannot be read."""
    persistence: Persistence
    """Of the primary that keeps least."""
    evicted_keys: int | None
    """Since this process started; null where no primary tells."""
    warnings: list[RedisWarning]


class EvictionCount:
    """Keys that were evicted since the first look, over all primaries and their restarts."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._first = True
        self.total = 0

    def note(self, primaries: Sequence[Primary]) -> None:
        """Count what was evicted since the last call."""
        for one in primaries:
            if one.evicted_keys is not None:
                started_before = one.evicted_keys if self._first else 0
                self.total += one.evicted_keys - self._seen.get(one.run_id, started_before)
                self._seen[one.run_id] = one.evicted_keys
        self._first = self._first and not self._seen


class RedisSafety:
    """Looks at Redis regularly; logs what is wrong with it when that begins and when it ends."""

    def __init__(self, link: RedisLink, on_report: Callable[[RedisReport], None] = lambda report: None) -> None:
        """`on_report` is given the report of each look."""
        self._link = link
        self._on_report = on_report
        self._primaries: list[Primary] = []
        self._evictions = EvictionCount()
        self._logged: dict[str, str] = {}
        self._looking: Periodic | None = None

    def start(self) -> None:
        """Begin to look regularly."""
        self._looking = Periodic("redis-safety", self._look, LOOK_INTERVAL_S)

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await self._looking.close()

    async def look(self) -> RedisReport:
        """Ask every primary now. A Redis that does not answer leaves what is known of it as it was."""
        try:
            found = await self._link.ask_primaries("INFO")
            saves = await self._link.ask_primaries("CONFIG GET", "save")
        except StoreUnavailable as error:
            log.debug("redis cannot be asked how safe it is: %s", error)
        else:
            self._primaries = [primary_of(name, info, saves.get(name)) for name, info in found.items()]
            self._evictions.note(self._primaries)
            if self._link.refused_write:
                await self._link.try_writing()
        report = self.report()
        self._log_changes(report)
        self._on_report(report)
        return report

    def report(self) -> RedisReport:
        """What the last look found, and whether a write was refused since."""
        evicted = self._evictions.total if any(one.evicted_keys is not None for one in self._primaries) else None
        return report_of(self._primaries, evicted, self._link.refused_write)

    async def _look(self) -> None:
        await self.look()

    def _log_changes(self, report: RedisReport) -> None:
        present = {one.name: one.message for one in report.warnings}
        if report.data == "unknown" and self._primaries:
            present["unknown"] = "whether Redis keeps what it is given cannot be read from INFO and CONFIG GET"
        for name in present.keys() - self._logged.keys():
            log.warning("%s", present[name])
        for name in self._logged.keys() - present.keys():
            log.info("no longer true: %s", self._logged[name])
        self._logged = present


def primary_of(name: str, info: Mapping[str, Any] | None, configured: Mapping[str, str] | None) -> Primary:
    """What a server's answers say. `info`, `configured`: of INFO and of CONFIG GET save; None where it refused them."""
    if info is None:
        return Primary(name)
    return Primary(
        name,
        info.get("maxmemory_policy"),
        persistence_of(info, None if configured is None else configured.get("save")),
        str(info.get("run_id", name)),
        info.get("evicted_keys"),
    )


def persistence_of(info: Mapping[str, Any], save: str | None) -> Persistence:
    """How a server writes to disk. `save`: the setting, None where it cannot be read.

    Without the setting, snapshots are known by one that was made since the server's start.
    """
    if "aof_enabled" not in info:
        return "unknown"
    if info["aof_enabled"]:
        return "append_only_file"
    if save is not None:
        return "snapshots" if save else "none"
    if info.get("rdb_saves", 0) > 0:
        return "snapshots"
    told = ("rdb_last_save_time", "server_time_usec", "uptime_in_seconds")
    if all(field in info for field in told):
        started_s = info["server_time_usec"] / 1e6 - info["uptime_in_seconds"]
        if info["rdb_last_save_time"] > started_s + START_SAVE_TOLERANCE_S:
            return "snapshots"
    return "unknown"


def report_of(primaries: Sequence[Primary], evicted_keys: int | None, refused_write: str | None) -> RedisReport:
    """The report on primaries, of which none answered yet where there are none."""
    warnings = [*_warnings(primaries, evicted_keys or 0)]
    may_be_lost, unknown = bool(warnings), _is_unknown(primaries)
    if refused_write:
        message = f"Redis refuses writes, events wait on disk: {refused_write}"
        warnings.append(RedisWarning("writes", 1, message))
    found: set[Persistence] = {one.persistence for one in primaries} or {"unknown"}
    return RedisReport(
        "may_be_lost" if may_be_lost else "unknown" if unknown else "kept",
        "refused" if refused_write else "taken",
        sorted({one.policy or "unknown" for one in primaries}) or ["unknown"],
        min(found, key=WORST_FIRST.index),
        evicted_keys,
        warnings,
    )


def _is_unknown(primaries: Sequence[Primary]) -> bool:
    return not primaries or any(one.policy is None or one.persistence == "unknown" for one in primaries)


def _warnings(primaries: Sequence[Primary], evicted_keys: int) -> list[RedisWarning]:
    evicting = [one for one in primaries if one.evicts_all]
    forgetting = [one for one in primaries if one.persistence == "none"]
    warnings = []
    if evicting:
        policies = " and ".join(sorted({str(one.policy) for one in evicting}))
        message = (
            f"Redis{_at(evicting)} evicts any key when its memory is full (maxmemory-policy {policies}): people, "
            "accounts and events may be lost. Set noeviction or volatile-ttl"
        )
        warnings.append(RedisWarning("eviction_policy", len(evicting), message))
    if evicting and evicted_keys:
        message = (
            f"Redis evicted {evicted_keys:,} keys since this process started: people, accounts and events may be "
            "among them"
        )
        warnings.append(RedisWarning("evictions", evicted_keys, message))
    if forgetting:
        message = (
            f'Redis{_at(forgetting)} writes nothing to disk (appendonly no, save ""): when it restarts, people, '
            "accounts and events are lost. Set appendonly yes"
        )
        warnings.append(RedisWarning("persistence", len(forgetting), message))
    return warnings


def _at(primaries: Sequence[Primary]) -> str:
    names = ", ".join(one.name for one in primaries if one.name)
    return f" at {names}" if names else ""
