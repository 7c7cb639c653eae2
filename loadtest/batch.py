"""`python -m loadtest.batch`: people a minute through `/batch/recommend` and `/batch/recommend/cache`.

Asks a running service (HOST or --url). The histories are those of the people whom the service knows, as it tells
them itself, under new names, so that no answer is in its cache. The first batch warms up and does not count.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

PEOPLE_PER_PAGE = 100
HISTORY_LIMIT = 1_000
POLL_S = 0.1

History = list[dict[str, Any]]


def known_histories(http: httpx.Client, limit: int) -> list[History]:
    """Histories of at most `limit` people whom the service knows, oldest film first.

    Raises ValueError when it knows nobody.
    """
    histories: list[History] = []
    for offset in range(0, limit, PEOPLE_PER_PAGE):
        page = _read(http.get("/people", params={"limit": min(PEOPLE_PER_PAGE, limit - offset), "offset": offset}))
        for person in page["people"]:
            watched = _read(http.get(f"/people/{person['user_id']}", params={"limit": HISTORY_LIMIT}))["history"]
            fields = ("movie_id", "rating", "timestamp")
            histories.append([{name: film[name] for name in fields} for film in reversed(watched)])
        if len(histories) >= page["total"]:
            break
    if not histories:
        raise ValueError("the service knows nobody; does its release hold histories? ask GET /people")
    return histories


def batches(histories: list[History], people: int, size: int) -> Iterator[dict[str, History]]:
    """`people` new names with these histories in turn, `size` at a time.

    Each turn stops one film earlier: a history that came before is encoded already, and would flatter.
    """
    run = uuid.uuid4().hex[:8]
    turns = ((at // len(histories), histories[at % len(histories)]) for at in range(people))
    named = ((f"{run}-{at}", history[: max(1, len(history) - turn)]) for at, (turn, history) in enumerate(turns))
    while batch := dict(itertools.islice(named, size)):
        yield batch


def measure_answers(http: httpx.Client, work: list[dict[str, History]], top_k: int) -> tuple[int, float, set[str]]:
    """People answered by `/batch/recommend`, the seconds it took, and what answers were made without."""
    answered, degraded = 0, set[str]()
    started_s = time.perf_counter()
    for batch in track(work, "/batch/recommend", console=Console(stderr=True)):
        answer = http.post("/batch/recommend", json={"user_histories": batch, "top_k": top_k})
        answered += _read(answer)["success_count"]
        degraded |= set(filter(None, answer.headers["x-marquee-degraded"].split(",")))
    return answered, time.perf_counter() - started_s, degraded


def measure_precompute(http: httpx.Client, work: list[dict[str, History]], top_k: int) -> tuple[int, float]:
    """People whose answers `/batch/recommend/cache` keeps, and the seconds until the last job is done."""
    started_s = time.perf_counter()
    jobs = [
        _read(http.post("/batch/recommend/cache", json={"user_histories": batch, "top_k": top_k})) for batch in work
    ]
    done = 0
    for job in track(jobs, "/batch/recommend/cache", console=Console(stderr=True)):
        while (progress := _read(http.get(job["progress_url"])))["status"] != "done":
            time.sleep(POLL_S)
        done += progress["success_count"]
    return done, time.perf_counter() - started_s


def _read(answer: httpx.Response) -> dict[str, Any]:
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def main(
    url: Annotated[str, typer.Option(envvar="HOST", help="A running service.")] = "http://127.0.0.1:3000",
    people: Annotated[int, typer.Option(help="People to recommend to, in each of the two ways.")] = 10_000,
    size: Annotated[int, typer.Option(help="People per request.")] = 500,
    known: Annotated[int, typer.Option(help="People of the service whose histories are used.")] = 610,
    top_k: Annotated[int, typer.Option(help="Films for each person.")] = 10,
    api_key: Annotated[str, typer.Option(envvar="MARQUEE_API_KEY", help="Where the service asks for one.")] = "",
    report: Annotated[Path, typer.Option(help="Where the figures go as JSON.")] = Path("reports/batch.json"),
) -> None:
    """Print people a minute of both batch routes."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(base_url=url, timeout=600, headers=headers) as http:
        histories = known_histories(http, known)
        mean = sum(map(len, histories)) / len(histories)
        measure_answers(http, list(batches(histories, size, size)), top_k)
        answered, answers_s, degraded = measure_answers(http, list(batches(histories, people, size)), top_k)
        kept, precompute_s = measure_precompute(http, list(batches(histories, people, size)), top_k)
    rows = [("/batch/recommend", answered, answers_s), ("/batch/recommend/cache", kept, precompute_s)]
    table = Table("route", "people", "seconds", "people a minute", title=f"{mean:.0f} films per history")
    for route, count, seconds in rows:
        table.add_row(route, f"{count:,}", f"{seconds:.1f}", f"{60 * count / seconds:,.0f}")
    console = Console()
    console.print(table)
    console.print(f"left out of some answers: {', '.join(sorted(degraded)) or 'nothing'}")
    figures = {route: {"people": count, "seconds": seconds} for route, count, seconds in rows}
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"films_per_history": mean, "routes": figures}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
