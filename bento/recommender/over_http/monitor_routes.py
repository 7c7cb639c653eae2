"""`GET /monitor`: the report as JSON, or as a page for whoever asks for HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.monitoring.monitor import Monitoring
from bento.recommender.monitoring.monitor_report import Monitor
from bento.stores.connection.redis_safety import RedisReport

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
:root { color-scheme: light dark }
table { border-collapse: collapse; margin-bottom: 1.5rem } td, th { text-align: left; padding: .25rem .9rem .25rem 0;
border-bottom: 1px solid color-mix(in srgb, CanvasText 15%, Canvas); font-variant-numeric: tabular-nums }
.alert { border-left: 4px solid #c62828; padding-left: .8rem }
"""

Rows = Sequence[tuple[object, ...]]


class MonitorRoutes:
    """The report in both forms."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring

    def routes(self) -> list[Route]:
        """The one route."""
        about = About(
            "Coverage, embedding health, cache, latency by stage, drift, fallbacks, experiments, sample lists",
            "service",
            answer=Monitor,
        )
        return [Route("GET", "/monitor", self.get, about)]

    async def get(self, request: Request) -> Response:
        """The report; a browser gets a page."""
        report = await self._monitoring.report()
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(page_of(report), headers={"vary": "accept"})
        return JsonResponse(report, headers={"vary": "accept"})


def page_of(report: Monitor) -> str:
    """The report as HTML."""
    title = f"Marquee, release {report.release}"
    alerts = [f"<p class=alert><strong>{escape(one.name)}</strong> {escape(one.message)}</p>" for one in report.alerts]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body><h1>{title}</h1>'
        f"<p>{report.answers} answers in {report.uptime_s:.0f} s; in the terminal: "
        f"<code>python -m bento monitor</code></p>"
        f"{''.join(alerts) or '<p>No alerts.</p>'}{_answers(report)}{_contents(report)}</body></html>"
    )


def _answers(report: Monitor) -> str:
    """What answers were like."""
    times = ("n", "p50", "p95", "p99")
    latency = [(stage, *(found[column] for column in times)) for stage, found in report.latency_ms.items()]
    lookups = [*report.cache.lookups.items(), ("hit ratio", _share(report.cache.hit_ratio))]
    drift = [(fact, _or_dash(one.psi), one.state, one.lists) for fact, one in report.drift.items()]
    redis = _rows_of_redis(report.redis)
    arms = [
        (result.name, arm.name, arm.people, arm.lists, *map(_share, (arm.ctr, arm.ctr_low, arm.ctr_high)))
        for result in report.experiments
        for arm in result.arms
    ]
    return (
        _table("Latency, ms", ("stage", *times), latency)
        + _table("Response cache", ("look-up", "times"), lookups)
        + _table("Computed answers", ("strategy", "answers"), [*report.strategies.items()])
        + _table("Left out", ("part", "answers"), [*report.degraded.items()])
        + _table("Redis", ("of", "state"), redis)
        + _table("Drift", ("of", "PSI", "state", "lists"), drift)
        + _table("Experiments", ("experiment", "arm", "people", "lists", "CTR", "from", "to"), arms)
    )


def _rows_of_redis(report: RedisReport) -> Rows:
    """How safe Redis is, a fact a row."""
    return [
        ("data", report.data.replace("_", " ")),
        ("writes", report.writes),
        ("maxmemory-policy", ", ".join(report.maxmemory_policy)),
        ("persistence", report.persistence.replace("_", " ")),
        ("evicted keys", _or_dash(report.evicted_keys)),
    ]


def _contents(report: Monitor) -> str:
    """What answers are made of."""
    coverage = [(kind, _share(share)) for kind, share in report.coverage.items()]
    columns = ("width", "films", "missing", "norm_mean", "norm_min", "norm_max")
    embeddings = [(source, *(getattr(one, column) for column in columns)) for source, one in report.embeddings.items()]
    lists = [(one.strategy, ", ".join(one.titles)) for one in report.sample_lists]
    return (
        _table("Coverage", ("of", "share"), coverage)
        + _table("Embeddings", ("source", *(column.replace("_", " ") for column in columns)), embeddings)
        + _table("Lists served lately", ("strategy", "films"), lists)
    )


def _table(title: str, columns: tuple[str, ...], rows: Rows) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _or_dash(value: float | None) -> object:
    return "–" if value is None else value
