"""What a Redis client sends: the commands of its pipelines."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster


def record_pipelines(client: Redis | RedisCluster) -> list[list[str]]:
    """The commands of every pipeline that this client sends from now on, in order."""
    sent: list[list[str]] = []
    make_pipeline = client.pipeline

    def pipeline(**options: Any) -> Any:
        made: Any = make_pipeline(**options)
        add, execute = made.execute_command, made.execute
        commands: list[str] = []

        def recorded_add(*command: Any) -> Any:
            commands.append(command[0])
            return add(*command)

        async def recorded_execute(**how: Any) -> Any:
            sent.append(commands)
            return await execute(**how)

        made.execute_command, made.execute = recorded_add, recorded_execute
        return made

    client.pipeline = pipeline  # type: ignore[method-assign,assignment]
    return sent
