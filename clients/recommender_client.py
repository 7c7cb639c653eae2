"""Ask a running Marquee for recommendations over HTTP.

A small typed client (`RecommenderClient`) and the command line around it:

\b
    python clients/recommender_client.py recommend --user-id 42
    python clients/recommender_client.py recommend --history 1,50,260 --top-k 5
    python clients/recommender_client.py health

A server that asks who is calling wants --api-key, or MARQUEE_API_KEY in the environment: an API key, or the token of
POST /auth/login.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table


class RecommenderError(Exception):
    """The server refused the request; carries its status and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended film; `score` grows with liking and compares only within one answer."""

    movie_id: int | str
    title: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Recommendations, best first, with what the server says of them."""

    recommendations: list[Recommendation]
    release: str
    degraded: list[str]
    """Parts that failed or were late; empty when everything answered."""
    raw: dict[str, Any]


class RecommenderClient:
    """Keeps one connection pool; use it as a context manager.

    Raises RecommenderError for a refused request, httpx.TransportError when the server cannot be reached.
    """

    def __init__(self, url: str = "http://127.0.0.1:3000", timeout_s: float = 10.0, api_key: str = "") -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, timeout=timeout_s, headers=headers)

    def __enter__(self) -> RecommenderClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.close()

    def recommend(
        self,
        user_id: int | str | None = None,
        history: Sequence[int | str | dict[str, Any]] | None = None,
        top_k: int = 10,
    ) -> Answer:
        """Films for a person: known by `user_id`, or described by a `history` (film ids, oldest first)."""
        request: dict[str, Any] = {"top_k": top_k}
        if user_id is not None:
            request["user_id"] = user_id
        if history is not None:
            request["history"] = list(history)
        body = self._call("POST", "/recommend", json=request)
        films = [Recommendation(film["movie_id"], film["title"], film["score"]) for film in body["recommendations"]]
        return Answer(films, str(body["release"]), list(body["degraded"]), body)

    def health(self) -> dict[str, Any]:
        """What the server says of itself."""
        return self._call("GET", "/health")

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        response = self._http.request(method, path, **request)
        if response.is_error:
            raise RecommenderError(response.status_code, response.text)
        body: dict[str, Any] = response.json()
        return body


app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)
Url = Annotated[str, typer.Option(help="Where the server listens.")]
ApiKey = Annotated[str, typer.Option(envvar="MARQUEE_API_KEY", help="API key or token, where the server asks for one.")]


@app.command()
def recommend(
    url: Url = "http://127.0.0.1:3000",
    user_id: Annotated[str | None, typer.Option(help="A person the server knows, or a new one.")] = None,
    history: Annotated[str | None, typer.Option(help="Film ids, oldest first: 1,50,260")] = None,
    top_k: Annotated[int, typer.Option(help="How many films.")] = 10,
    api_key: ApiKey = "",
) -> None:
    """Print recommendations as a table."""
    films: list[int | str] | None = (
        None if history is None else [film.strip() for film in history.split(",") if film.strip()]
    )
    with RecommenderClient(url, api_key=api_key) as client:
        answer = client.recommend(user_id, films, top_k)
    table = Table("#", "movie_id", "title", "score", title=f"release {answer.release}")
    for place, film in enumerate(answer.recommendations, start=1):
        table.add_row(str(place), str(film.movie_id), film.title, f"{film.score:.3f}")
    Console().print(table)
    if answer.degraded:
        Console(stderr=True).print(f"degraded: {', '.join(answer.degraded)}")


@app.command()
def health(url: Url = "http://127.0.0.1:3000") -> None:
    """Print the server's health as JSON."""
    with RecommenderClient(url) as client:
        Console().print_json(data=client.health())


def main() -> None:
    """Run the command line; a refused or unreachable server ends it with one line and exit code 1."""
    try:
        app()
    except (RecommenderError, httpx.TransportError) as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
