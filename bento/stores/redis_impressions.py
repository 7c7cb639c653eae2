"""Served lists on Redis; see `interfaces.ImpressionLog`.

`<prefix>:{<user>}:impressions` (a hash: recommendation_id -> list) and `...:order` (their ids, oldest first) share a
node with all that is known of the person. `<prefix>:impressions` is the stream of all lists, without people.
Counts are in `<prefix>:experiment:<key>`, one field per arm and kind, people in a HyperLogLog per arm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from bento.stores.impressions import LISTS_PER_PERSON_LIMIT, STREAM_LIMIT, Counts, Impression
from bento.stores.redis_link import RedisLink
from bento.stores.redis_stores import key_tag

NOTE = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('RPUSH', KEYS[2], ARGV[1]) > tonumber(ARGV[4]) then
  local oldest = redis.call('LPOP', KEYS[2])
  redis.call('HDEL', KEYS[1], oldest, oldest .. '/clicked')
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
"""
"""KEYS: lists, their order. ARGV: recommendation_id, list, seconds to remember it, lists per person."""

CLICK = """
local list = redis.call('HGET', KEYS[1], ARGV[1])
if not list then return false end
for _, movie_id in ipairs(cjson.decode(list).movie_ids) do
  if movie_id == tonumber(ARGV[2]) then
    if redis.call('HSETNX', KEYS[1], ARGV[1] .. '/clicked', '') == 0 then return false end
    return list
  end
end
return false
"""
"""KEYS: lists. ARGV: recommendation_id, movie_id. Returns the list at its first click, else nil."""


class RedisImpressionLog:
    """Every call is one round trip; a first click that an experiment counts takes two."""

    def __init__(self, link: RedisLink, prefix: str, remember_s: int) -> None:
        self._link = link
        self._prefix = prefix
        self._remember_s = remember_s

    async def note(self, user_id: str, impression: Impression, keys: Mapping[str, str]) -> None:
        run, record = self._link.run, msgspec.json.encode(impression)
        values = impression.recommendation_id, record, self._remember_s, LISTS_PER_PERSON_LIMIT
        noted = run("EVAL", NOTE, 2, *self._keys(user_id), *values)
        if not impression.arms:
            await noted
            return
        commands = [noted]
        for experiment, arm in impression.arms.items():
            counts = self._counts(keys[experiment])
            commands.append(run("HINCRBY", counts, f"{arm}/lists", 1))
            commands.append(run("PFADD", f"{counts}:{arm}:people", user_id))
        await asyncio.gather(*commands)

    async def show(self, impressions: list[Impression]) -> None:
        record = msgspec.json.encode(impressions)
        await self._link.run("XADD", f"{self._prefix}:impressions", "MAXLEN", "~", STREAM_LIMIT, "*", "lists", record)

    async def click(self, user_id: str, recommendation_id: str, movie_id: int, keys: Mapping[str, str]) -> bool:
        lists, _ = self._keys(user_id)
        record = await self._link.run("EVAL", CLICK, 1, lists, recommendation_id, movie_id)
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
