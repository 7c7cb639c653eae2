"""The stores on Redis 6+ or Valkey, single or cluster.

Both keys of a person carry the same hash tag, so on a cluster they share a node and one script may touch both:
`<prefix>:{<user>}:state` (a packed person state) and `<prefix>:{<user>}:answers` (a hash: question -> sealed answer).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from bento.stores.connection.redis_link import RedisLink
from bento.stores.person import (
    EVENTS_LIMIT,
    FORGOTTEN,
    HEADER,
    Appended,
    PersonState,
    WatchEvent,
    pack_events,
    pack_genres,
    unpack_state,
)

ANSWERS_LIMIT = 64
"""Answers stored per owner; one more and all are dropped, which bounds memory without tracking their age."""

IDEMPOTENCY_S = 86_400
"""How long a used idempotency key is recognised."""

ENTRIES_PER_PERSON_LIMIT = 20_000
"""Records per person that `DELETE /users/{id}` can delete: more than a person creates by hand."""

STREAM_LIMIT = 1_000_000
"""Approximate number of records in the event log; some 200 MB."""

STATE = """
local state = redis.call('GET', KEYS[1]) or ''
if #state < 12 or (#state - 12) % 20 ~= 0 then state = string.rep('\\0', 12) end
"""
"""KEYS: state. A person's state; an empty one where there is none or it is damaged."""

APPEND = """
local header, events = string.sub(state, 1, 12), string.sub(state, 13)
local version, flags = struct.unpack('<I8I4', header)
if ARGV[4] ~= '' and not redis.call('SET', KEYS[3], '', 'NX', 'EX', ARGV[5]) then return {version, 0, 1, 0} end
local newest = 0
for from = 1, #events, 20 do newest = math.max(newest, (struct.unpack('<i8', events, from + 12))) end
local changed = false
for at = 1, #ARGV[1], 20 do
  local event = string.sub(ARGV[1], at, at + 19)
  local id, rating, stamp = string.sub(event, 1, 8), struct.unpack('<fi8', event, 9)
  local known = nil
  for from = 1, #events, 20 do
    if string.sub(events, from, from + 7) == id then known = from break end
  end
  if known then
    local old_rating, old_stamp = struct.unpack('<fi8', events, known + 8)
    if rating <= 0 then rating = math.max(rating, old_rating) end
    if stamp > old_stamp or (stamp == old_stamp and rating ~= old_rating) then
      event = id .. struct.pack('<fi8', rating, stamp)
      events = string.sub(events, 1, known - 1) .. string.sub(events, known + 20) .. event
      changed = true
    end
  else
    events = events .. event
    changed = true
  end
end
if not changed then return {version, 0, 0, newest} end
if #events > tonumber(ARGV[3]) * 20 then
  local kept = {}
  for from = 1, #events, 20 do kept[#kept + 1] = string.sub(events, from, from + 19) end
  local stamps = {}
  for at, event in ipairs(kept) do stamps[event] = {struct.unpack('<i8', event, 13), at} end
  table.sort(kept, function(a, b)
    local left, right = stamps[a], stamps[b]
    if left[1] ~= right[1] then return left[1] < right[1] end
    return left[2] < right[2]
  end)
  events = table.concat(kept, '', #kept - tonumber(ARGV[3]) + 1)
end
version = math.max(version + 1, tonumber(ARGV[2]))
redis.call('SET', KEYS[1], struct.pack('<I8I4', version, flags) .. events)
redis.call('DEL', KEYS[2])
return {version, 1, 0, newest}
"""
"""KEYS: state, answers, idempotency mark. ARGV: packed events, now in microseconds, events limit, idempotency key,
its lifetime in seconds. Returns version, changed, duplicate, newest timestamp before.

Versions come from the clock, so that none is used twice even when a state was lost in between.
"""


CHOOSE_GENRES = """
local version, flags = struct.unpack('<I8I4', state)
version = math.max(version + 1, tonumber(ARGV[2]))
flags = bit.bor(bit.band(flags, 255), tonumber(ARGV[1]))
redis.call('SET', KEYS[1], struct.pack('<I8I4', version, flags) .. string.sub(state, 13))
redis.call('DEL', KEYS[2])
"""
"""KEYS: state, answers. ARGV: the genres as flags, now in microseconds."""

FORGET = """
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
"""
"""KEYS: state, answers. ARGV: the header of an empty, forgotten state."""

PUT = """
if ARGV[5] ~= '' then
  local head, version = redis.call('GETRANGE', KEYS[2], 0, 7), 0
  if #head == 8 then version = struct.unpack('<I8', head) end
  if version ~= tonumber(ARGV[5]) then return end
end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
"""
"""KEYS: answers, state. ARGV: question, sealed answer, time to live in ms, answers limit, version of the state that it
was computed for ('' = any)."""


def key_tag(owner: str) -> str:
    """An owner as a hash tag: braces would end the tag early, and an empty one would be none."""
    return "%" if not owner else owner.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")


class RedisFeatureStore:
    """See `interfaces.FeatureStore`."""

    def __init__(
        self, link: RedisLink, prefix: str, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._now_us = now_us

    async def read(self, user_id: str) -> PersonState:
        return unpack_state(await self._link.run("GET", f"{self._prefix}:{{{key_tag(user_id)}}}:state"))

    async def append(self, user_id: str, events: Sequence[WatchEvent], idempotency_key: str = "") -> Appended:
        state, answers = self._keys(user_id)
        mark = f"{state}:event:{idempotency_key}"
        values = pack_events(events), self._now_us(), EVENTS_LIMIT, idempotency_key, IDEMPOTENCY_S
        keys = state, answers, mark
        version, changed, duplicate, newest_s = await self._link.run("EVAL", STATE + APPEND, 3, *keys, *values)
        return Appended(version, bool(changed), bool(duplicate), newest_s)

    async def choose_genres(self, user_id: str, genres: Sequence[int]) -> None:
        values = pack_genres(genres), self._now_us()
        await self._link.run("EVAL", STATE + CHOOSE_GENRES, 2, *self._keys(user_id), *values)

    async def forget(self, user_id: str) -> None:
        await self._link.run("EVAL", FORGET, 2, *self._keys(user_id), HEADER.pack(self._now_us(), FORGOTTEN))

    def _keys(self, user_id: str) -> tuple[str, str]:
        start = f"{self._prefix}:{{{key_tag(user_id)}}}"
        return f"{start}:state", f"{start}:answers"


class RedisResponseCache:
    """See `interfaces.ResponseCache`."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def get(self, owner: str, question: str) -> bytes | None:
        answer: bytes | None = await self._link.run("HGET", self._key(owner), question)
        return answer

    async def put(self, owner: str, question: str, sealed: bytes, ttl_s: float, version: int | None = None) -> None:
        start = f"{self._prefix}:{{{key_tag(owner)}}}"
        values = question, sealed, math.ceil(ttl_s * 1_000), ANSWERS_LIMIT, "" if version is None else version
        await self._link.run("EVAL", PUT, 2, f"{start}:answers", f"{start}:state", *values)

    def _key(self, owner: str) -> str:
        return f"{self._prefix}:{{{key_tag(owner)}}}:answers"


class RedisEventLog:
    """See `interfaces.EventLog`: a Redis stream, one field `event` per entry.

    `<prefix>:{<user>}:entries` lists the stream's ids of a person's records, so that they can be deleted.
    """

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._stream = f"{prefix}:events"

    async def append(self, user_id: str, record: bytes) -> None:
        entry = await self._link.run("XADD", self._stream, "MAXLEN", "~", STREAM_LIMIT, "*", "event", record)
        key = self._entries(user_id)
        await asyncio.gather(
            self._link.run("RPUSH", key, entry), self._link.run("LTRIM", key, -ENTRIES_PER_PERSON_LIMIT, -1)
        )

    async def read(self, count: int) -> list[bytes]:
        newest_first = await self._link.run("XREVRANGE", self._stream, "+", "-", "COUNT", count)
        return [fields[b"event"] for _, fields in reversed(newest_first)]

    async def forget(self, user_id: str) -> int:
        key = self._entries(user_id)
        entries = await self._link.run("LRANGE", key, 0, -1)
        if not entries:
            return 0
        deleted = await self._link.run("XDEL", self._stream, *entries)
        await self._link.run("LTRIM", key, len(entries), -1)  # entries added meanwhile stay in the list
        return int(deleted)

    def _entries(self, user_id: str) -> str:
        return f"{self._prefix}:{{{key_tag(user_id)}}}:entries"
