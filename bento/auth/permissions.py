"""Who may use which route: one page to read, and to change.

A route that is not in the table is for admins, so a new one is closed until somebody opens it here; a test holds the
table and the router equal. Routes that name a person (`user_id` in path, query or body) are further narrowed by
`gate`: a USER may name nobody but themselves.
"""

from __future__ import annotations

import re

from bento.auth.callers import Role

PUBLIC = None
"""Nobody is asked who they are."""

Access = Role | None

ROUTES: dict[str, Access] = {
    "GET /": PUBLIC,
    "GET /static/{name}": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /redoc": PUBLIC,
    "GET /health": PUBLIC,
    "GET /poster/{movie_id}": PUBLIC,  # browsers send no token for pictures
    "POST /auth/register": PUBLIC,
    "POST /auth/login": PUBLIC,
    "GET /config": Role.USER,
    "POST /recommend": Role.USER,
    "GET /recommend": Role.USER,
    "POST /recommend/filtered": Role.USER,
    "GET /recommend/user/{user_id}": Role.USER,
    "GET /recommend/movie": Role.USER,
    "GET /movies/recommendations": Role.USER,
    "GET /api/v1/recommendations/{user_id}": Role.USER,
    "POST /similar": Role.USER,
    "GET /movie/{movie_id}": Role.USER,
    "GET /movies": Role.USER,
    "GET /search": Role.USER,
    "POST /events": Role.USER,
    "POST /rate": Role.USER,
    "GET /people/{user_id}": Role.USER,
    "PUT /people/{user_id}/taste": Role.USER,
    "DELETE /users/{user_id}": Role.USER,
    "GET /people": Role.SERVICE,
    "GET /experiments": Role.SERVICE,
    "GET /experiments/{name}": Role.SERVICE,
    "GET /monitor": Role.SERVICE,
    "POST /batch/recommend": Role.SERVICE,
    "POST /batch/recommend/cache": Role.SERVICE,
    "GET /batch/recommend/cache/{job_id}": Role.SERVICE,
    "POST /v1/embeddings": Role.SERVICE,  # as inference under /v2
    "GET /v1/models": Role.SERVICE,
    "GET /v1/models/{model}": Role.SERVICE,
    "GET /admin/movies": Role.ADMIN,
    "POST /admin/movies": Role.ADMIN,
    "PUT /admin/movies/{movie_id}": Role.ADMIN,
    "PUT /admin/movies/{movie_id}/poster": Role.ADMIN,
    "DELETE /admin/movies/{movie_id}": Role.ADMIN,
    "POST /admin/movies/{movie_id}/restore": Role.ADMIN,
}

METRICS: Access = Role.SERVICE
"""`/metrics`; the framework's probes and pictures beside it are public."""

V2_PUBLIC = re.compile(r"/v2/health/(live|ready)")
V2_SERVICE = re.compile(
    r"/v2"
    r"|/v2/models/[^/]+(/versions/[0-9]+)?(/(infer|generate|generate_stream|ready|config|stats))?"
    r"|/v2/repository(/[^/]+)?/index"
    r"|/v2/(system|cuda)sharedmemory(/region/[^/]+)?/status"
)

GRPC_PUBLIC = frozenset({"ServerLive", "ServerReady", "Check", "Watch", "List"})
GRPC_SERVICE = frozenset(
    {
        "ServerMetadata",
        "ModelInfer",
        "ModelStreamInfer",
        "ModelReady",
        "ModelMetadata",
        "ModelConfig",
        "ModelStatistics",
        "RepositoryIndex",
        "SystemSharedMemoryStatus",
        "CudaSharedMemoryStatus",
        "ServerReflectionInfo",
    }
)


def of_route(method: str, path: str) -> Access:
    """What a route of the recommender asks of its caller."""
    return ROUTES.get(f"{method} {path}", Role.ADMIN)


def role_name_of_route(method: str, path: str) -> str | None:
    """The role that a route asks for where authentication is on; None where it is public."""
    access = of_route(method, path)
    return None if access is None else access.name.lower()


def of_v2_path(path: str) -> Access:
    """What a path under `/v2` asks: probes nothing, reading and inference SERVICE, everything else ADMIN."""
    if V2_PUBLIC.fullmatch(path):
        return PUBLIC
    return Role.SERVICE if V2_SERVICE.fullmatch(path) else Role.ADMIN


def of_rpc(method: str) -> Access:
    """The same for an RPC, by its full name `/package.Service/Method`."""
    name = method.rpartition("/")[2]
    if name in GRPC_PUBLIC:
        return PUBLIC
    return Role.SERVICE if name in GRPC_SERVICE else Role.ADMIN
