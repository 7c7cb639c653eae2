"""Served lists on Redis; see `interfaces.ImpressionLog`.

`<prefix>:{<user>}:impressions` (a hash: recommendation_id -> list) and `...:order` (their ids, oldest first) share a
node with the state of the person. `<prefix>:impressions` is the stream of all lists, without people.
Counts are in `<prefix>:experiment:<key>`, one field per arm and kind, people in a HyperLogLog per arm.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from bento.stores.connection.redis_link import RedisLink
from bento.stores.impressions import LISTS_PER_PERSON_LIMIT, STREAM_LIMIT, Counts, Impression
from bento.stores.redis_stores import key_tag
from features.ids import Id

NOTE = """
local seconds, limit = ARGV[1], tonumber(ARGV[2])
for i = 1, #KEYS, 2 do
  local lists, order, id = KEYS[i], KEYS[i + 1], ARGV[i + 2]
  redis.call('HSET', lists, id, ARGV[i + 3])
  if redis.call('RPUSH', order, id) > limit then
    local oldest = redis.call('LPOP', order)
    redis.call('HDEL', lists, oldest, oldest .. '/clicked')
  end
  redis.call('EXPIRE', lists, seconds)
  redis.call('EXPIRE', order, seconds)
end
"""
"""KEYS, per list: the person's lists, their order. ARGV: seconds to remember them, lists per person; then, per list,
recommendation_id, list."""

CLICK = """
local list = redis.call('HGET', KEYS[1], ARGV[1])
if not list then return false end
local clicked = cjson.decode(ARGV[2])[1]
for _, movie_id in ipairs(cjson.decode(list).movie_ids) do
  if movie_id == clicked then
    if redis.call('HSETNX', KEYS[1], ARGV[1] .. '/clicked', '') == 0 then return false end
    return list
  end
end
return false
"""
"""KEYS: lists. ARGV: recommendation_id, [movie_id] as JSON. Returns the list at its first click, else nil."""


class RedisImpressionLog:
    """Every call is one round trip; a first click that an experiment counts takes two."""

    def __init__(self, link: RedisLink, prefix: str, ttl_s: int) -> None:
        self._link = link
        self._prefix = prefix
        self._ttl_s = ttl_s

    async def note(self, served: Sequence[tuple[str, Impression]], keys: Mapping[str, str]) -> None:
        if not served:
            return
        commands = [self._store(together) for together in self._groups(served)]
        people: dict[tuple[str, str], list[str]] = defaultdict(list)
        for user_id, impression in served:
            for experiment, arm in impression.arms.items():
                people[self._counts(keys[experiment]), arm].append(user_id)
        for (counts, arm), user_ids in people.items():
            commands.append(self._link.run("HINCRBY", counts, f"{arm}/lists", len(user_ids)))
            commands.append(self._link.run("PFADD", f"{counts}:{arm}:people", *user_ids))
        await asyncio.gather(*commands)

    def _groups(self, served: Sequence[tuple[str, Impression]]) -> list[Sequence[tuple[str, Impression]]]:
        """The lists that one script may write: all, or in a cluster those of one person."""
        if not self._link.is_cluster:
            return [served]
        groups: dict[str, list[tuple[str, Impression]]] = defaultdict(list)
        for user_id, impression in served:
            groups[user_id].append((user_id, impression))
        return list(groups.values())

    async def _store(self, served: Sequence[tuple[str, Impression]]) -> None:
        places = [key for user_id, _ in served for key in self._keys(user_id)]
        records = [part for _, one in served for part in (one.recommendation_id, msgspec.json.encode(one))]
        await self._link.run("EVAL", NOTE, len(places), *places, self._ttl_s, LISTS_PER_PERSON_LIMIT, *records)

    async def show(self, impressions: list[Impression]) -> None:
        record = msgspec.json.encode(impressions)
        await self._link.run("XADD", f"{self._prefix}:impressions", "MAXLEN", "~", STREAM_LIMIT, "*", "lists", record)

    async def click(self, user_id: str, recommendation_id: str, movie_id: Id, keys: Mapping[str, str]) -> bool:
        lists, _ = self._keys(user_id)
        clicked = msgspec.json.encode([movie_id])
        record = await self._link.run("EVAL", CLICK, 1, lists, recommendation_id, clicked)
        if record is None:
            return False
        arms = msgspec.json.decode(record, type=Impression).arms
        counted = [(keys[name], arm) for name, arm in arms.items() if name in keys]
        await asyncio.gather(
            *(self._link.run("HINCRBY", self._counts(key), f"{arm}/clicked", 1) for key, arm in counted)
        )
        return True

    async def counts(self, key: str, arms: list[str]) -> dict[str, Counts]:
        name = self._counts(key)
        fields = [f"{arm}/{kind}" for arm in arms for kind in ("lists", "clicked")]
        counted, *people = await asyncio.gather(
            self._link.run("HMGET", name, *fields),
            *(self._link.run("PFCOUNT", f"{name}:{arm}:people") for arm in arms),
        )
        numbers = [int(value or 0) for value in counted]
        return {
            arm: Counts(lists, clicked, seen)
            for arm, lists, clicked, seen in zip(arms, numbers[::2], numbers[1::2], people, strict=True)
        }

    async def recent(self, count: int) -> list[Impression]:
        newest_first = await self._link.run("XREVRANGE", f"{self._prefix}:impressions", "+", "-", "COUNT", count)
        together = [
            msgspec.json.decode(fields.get(b"lists", b"[]"), type=list[Impression]) for _, fields in newest_first
        ]
        return [one for lists in together for one in reversed(lists)][:count]

    async def forget(self, user_id: str) -> None:
        await self._link.run("DEL", *self._keys(user_id))

    def _keys(self, user_id: str) -> tuple[str, str]:
        lists = f"{self._prefix}:{{{key_tag(user_id)}}}:impressions"
        return lists, f"{lists}:order"

    def _counts(self, key: str) -> str:
        return f"{self._prefix}:experiment:{key}"
