"""What answers at `QDRANT_URL` in tests: the part of Qdrant's HTTP interface that is used, over the client's own store.

Requests are read and answers written with the client's models of that interface. It is not Qdrant: searches are exact,
and nothing is kept.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import uvicorn
from pydantic import BaseModel
from qdrant_client import QdrantClient, models
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

DEADLINE_S = 10


class StandIn:
    """The interface, and the log of what was asked of it."""

    def __init__(self) -> None:
        self.store = QdrantClient(":memory:")
        self.lock = asyncio.Lock()
        self.asked: list[str] = []
        """Method and path of each call."""
        self.indexed: dict[str, str] = {}
        """Payload indexes: key -> kind."""

    def app(self) -> Starlette:
        """The calls by path."""
        at = "/collections/{name}"
        return Starlette(
            routes=[
                Route("/", self.about),
                Route(f"{at}/exists", self.call(self.exists)),
                Route(at, self.call(self.create), methods=["PUT"]),
                Route(f"{at}/points/count", self.call(self.count), methods=["POST"]),
                Route(f"{at}/points", self.call(self.upsert), methods=["PUT"]),
                Route(f"{at}/index", self.call(self.index), methods=["PUT"]),
                Route(f"{at}/points/query", self.call(self.query), methods=["POST"]),
            ]
        )

    def call(self, answer: Any) -> Any:
        """An endpoint: Qdrant's envelope around what `answer(collection, body)` gives."""

        async def endpoint(request: Request) -> JSONResponse:
            self.asked.append(f"{request.method} {request.url.path}")
            body = await request.body()
            async with self.lock:  # the store is for one thread at a time
                result = await run_in_threadpool(answer, request.path_params["name"], body)
            shown = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
            return JSONResponse({"result": shown, "status": "ok", "time": 0.0})

        return endpoint

    async def about(self, request: Request) -> JSONResponse:
        """What the client looks at to see whether it fits."""
        return JSONResponse({"title": "stand-in", "version": version("qdrant-client")})

    def exists(self, name: str, body: bytes) -> dict[str, bool]:
        return {"exists": self.store.collection_exists(name)}

    def create(self, name: str, body: bytes) -> bool:
        wanted = models.CreateCollection.model_validate_json(body)
        return self.store.create_collection(name, vectors_config=wanted.vectors)

    def count(self, name: str, body: bytes) -> models.CountResult:
        assert models.CountRequest.model_validate_json(body).exact
        return self.store.count(name, exact=True)

    def upsert(self, name: str, body: bytes) -> models.UpdateResult:
        return self.store.upsert(name, models.PointsList.model_validate_json(body).points)

    def index(self, name: str, body: bytes) -> models.UpdateResult:
        wanted = models.CreateFieldIndex.model_validate_json(body)
        self.indexed[wanted.field_name] = str(wanted.field_schema)
        return models.UpdateResult(operation_id=len(self.indexed), status=models.UpdateStatus.COMPLETED)

    def query(self, name: str, body: bytes) -> models.QueryResponse:
        asked = models.QueryRequest.model_validate_json(body)
        return self.store.query_points(
            name, query=asked.query, query_filter=asked.filter, limit=asked.limit, with_payload=asked.with_payload
        )


@contextmanager
def running_stand_in(stand_in: StandIn) -> Iterator[str]:
    """Its address, while it listens."""
    server = uvicorn.Server(uvicorn.Config(stand_in.app(), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, name="qdrant-stand-in")
    thread.start()
    try:
        given_up_s = time.monotonic() + DEADLINE_S
        while not server.started:
            assert time.monotonic() < given_up_s, "the stand-in does not listen"
            time.sleep(0.01)
        (socket,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        for version_check in threading.enumerate():  # of Qdrant's client, which asks for the version in a thread
            if "_check_compatibility" in version_check.name:
                version_check.join()
        server.should_exit = True
        thread.join()
