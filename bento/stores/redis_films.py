"""Added films on Redis 6+ or Valkey, single or cluster: all keys carry one hash tag, so that one script may touch them.

`<prefix>:{films}:` and then `state` (epoch and revision), `records` and `posters` (hashes by movie_id), `changes`
(movie_ids by the revision of their last change), `ids` (how many movie_ids were assigned) and `vectors:<release>` (a
hash by movie_id).
"""

from __future__ import annotations

import secrets

from bento.stores.connection.redis_link import RedisLink
from bento.stores.film_records import (
    FIRST_NEW_ID,
    CatalogueState,
    FilmChange,
    FilmChanges,
    FilmRecord,
    FilmVectors,
    pack,
    unpack_change,
)
from features.ids import Id

PAGE = 200
"""Changes read at once: each is some 4 KB."""

VECTORS_TTL_S = 30 * 86_400
"""How long vectors of a release are stored after it was last served."""

CHANGES = """
local state = redis.call('HMGET', KEYS[1], 'epoch', 'revision')
local epoch, revision, since = state[1] or '', tonumber(state[2] or '0'), tonumber(ARGV[2])
local from_start = 0
if epoch ~= ARGV[1] or since > revision then since = 0 from_start = 1 end
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local ids, seen = {}, since
for at = 1, #changed, 2 do ids[#ids + 1] = changed[at] seen = tonumber(changed[at + 1]) end
if #ids < tonumber(ARGV[3]) then seen = revision end
if #ids == 0 then return {epoch, revision, seen, from_start, {}, {}} end
redis.call('EXPIRE', KEYS[4], ARGV[4])
local records, vectors = redis.call('HMGET', KEYS[3], unpack(ids)), redis.call('HMGET', KEYS[4], unpack(ids))
return {epoch, revision, seen, from_start, records, vectors}
"""
"""KEYS: state, changes, records, vectors. ARGV: epoch and revision known, page, seconds to keep vectors."""

PUT = """
local state = redis.call('HMGET', KEYS[1], 'epoch', 'revision')
if (state[1] or '') ~= ARGV[1] or tonumber(state[2] or '0') ~= tonumber(ARGV[2]) then return false end
if not state[1] then redis.call('HSET', KEYS[1], 'epoch', ARGV[8]) end
local revision = redis.call('HINCRBY', KEYS[1], 'revision', 1)
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
redis.call('ZADD', KEYS[2], revision, ARGV[3])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[4], ARGV[3], ARGV[5]) redis.call('EXPIRE', KEYS[4], ARGV[7]) end
if ARGV[6] == 'none' then redis.call('HDEL', KEYS[5], ARGV[3])
elseif ARGV[6] ~= 'same' then redis.call('HSET', KEYS[5], ARGV[3], ARGV[6]) end
return {redis.call('HGET', KEYS[1], 'epoch'), revision}
"""
"""KEYS: state, changes, records, vectors, posters. ARGV: expected epoch and revision, movie_id, record, vectors or '',
poster or 'same' or 'none', seconds to keep vectors, epoch of a new store. Returns the new state, or nothing when the
expected one is past."""


class RedisFilmStore:
    """See `interfaces.FilmStore`."""

    def __init__(self, link: RedisLink, prefix: str, release: str) -> None:
        """release: identifies the encoders of the vectors."""
        self._link = link
        self._start = f"{prefix}:{{films}}:"
        self._vectors = f"vectors:{release}"

    async def state(self) -> CatalogueState:
        epoch, revision = await self._link.run("HMGET", f"{self._start}state", "epoch", "revision")
        return CatalogueState((epoch or b"").decode(), int(revision or 0))

    async def changes(self, since: CatalogueState) -> FilmChanges:
        found: list[FilmChange] = []
        from_start, (epoch, seen), revision = False, since, -2
        while seen != revision:
            answer = await self._link.run("EVAL", CHANGES, 4, *self._keys(), epoch, seen, PAGE, VECTORS_TTL_S)
            named, revision, seen, restarted, records, vectors = answer
            epoch = named.decode()
            if restarted:  # emptied meanwhile
                found, from_start = [], True
            pairs = zip(records, vectors, strict=True)
            found += [unpack_change(record, made) for record, made in pairs if record is not None]
        return FilmChanges(CatalogueState(epoch, revision), found, from_start)

    async def put(
        self, record: FilmRecord, vectors: FilmVectors | None, poster: bytes | None, expected: CatalogueState
    ) -> CatalogueState | None:
        stored = "none" if not record.poster else poster or "same"
        made = b"" if vectors is None else pack(vectors)
        values = record.movie_id, pack(record), made, stored, VECTORS_TTL_S, secrets.token_hex(4)
        answer = await self._link.run("EVAL", PUT, 5, *self._keys(), f"{self._start}posters", *expected, *values)
        return None if answer is None else CatalogueState(answer[0].decode(), int(answer[1]))

    async def store_vectors(self, movie_id: Id, vectors: FilmVectors) -> None:
        await self._link.run("HSET", self._start + self._vectors, movie_id, pack(vectors))

    async def poster(self, movie_id: Id) -> bytes | None:
        poster: bytes | None = await self._link.run("HGET", f"{self._start}posters", movie_id)
        return poster

    async def new_movie_id(self) -> int:
        return FIRST_NEW_ID - 1 + int(await self._link.run("INCR", f"{self._start}ids"))

    def _keys(self) -> list[str]:
        return [self._start + name for name in ("state", "changes", "records", self._vectors)]
