"""`python -m bento monitor | verify | films | keys`: a running server, looked at and served from the terminal."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from bento.commands.films import app as films
from bento.commands.keys import keys
from bento.commands.monitor_tables import print_report
from bento.commands.verify import CHECKS, Failed, Visit

DEFAULT_URL = "http://127.0.0.1:3000"

Url = Annotated[str, typer.Option(help="Where the server answers.", envvar="MARQUEE_URL")]
Token = Annotated[str, typer.Option(help="Bearer token of a service or an administrator, where auth is on.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Look at a running server, or make keys for it. Start one with `make serve`; /experiments counts experiments.",
)
app.add_typer(films, name="films")
app.add_typer(keys, name="keys")


@app.command()
def monitor(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Show how a running server does: alerts, latency by stage, cache, fallbacks, drift, experiments, embeddings.

    The same as `GET /monitor`. Exit status 1 when there are alerts or nobody answers.

    Example: python -m bento monitor --url http://127.0.0.1:3100
    """
    console = Console()
    with _client(url, token) as client:
        try:
            response = client.get("/monitor", headers={"accept": "application/json"})
            response.raise_for_status()
        except httpx.HTTPError as error:
            console.print(f"{url}: {error}. Is it running? `make serve` starts one", style="red")
            raise typer.Exit(1) from None
    report = response.json()
    print_report(report, console)
    raise typer.Exit(1 if report["alerts"] else 0)


@app.command()
def verify(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Ask a running server for what it promises, check by check, and say what it kept.

    It answers unknown and known people, leaves out what they have seen, changes with the next event, filters exactly,
    refuses wrong requests in one shape, names one release everywhere. A person named verify-... is made up for it and
    forgotten again. Exit status 0 when every check passes, else 1.

    Example: python -m bento verify --url http://127.0.0.1:3100
    """
    console, failures = Console(), 0
    with _client(url, token) as client:
        visit = Visit(client)
        for check in CHECKS:
            promise = (check.__doc__ or "").strip().rstrip(".")
            try:
                found = check(visit)
            except (Failed, httpx.HTTPError, KeyError, IndexError, TypeError, ValueError) as error:
                failures += 1
                why = str(error) if isinstance(error, Failed) else repr(error)
                console.print(f"[red]✗[/red] {promise}: {escape(why)}")
            else:
                console.print(f"[green]✓[/green] {promise} [dim]{escape(found)}[/dim]")
    console.print(f"{len(CHECKS) - failures} of {len(CHECKS)} checks passed", style="red" if failures else "green")
    raise typer.Exit(1 if failures else 0)


def _client(url: str, token: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=url, headers=headers, timeout=10)


if __name__ == "__main__":
    app(prog_name="python -m bento")
