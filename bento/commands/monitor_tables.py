"""The monitor's report in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print the answer of `GET /monitor`, the most urgent first."""
    revision = f", catalogue revision {report['catalogue_revision']}" if report["catalogue_revision"] else ""
    console.print(
        f"release {report['release']}{revision}, {report['answers']:,} answers in {report['uptime_s']:,.0f} s"
    )
    for alert in report["alerts"]:
        console.print(
            f"[red]ALERT[/red] {alert['name']}: {alert['message']} ({alert['value']}, at most {alert['threshold']})"
        )
    if not report["alerts"]:
        console.print("no alerts", style="green")
    for table in _tables(report):
        if table.row_count:
            console.print(table)


def _tables(report: dict[str, Any]) -> Iterable[Table]:
    columns = ("n", "p50", "p95", "p99")
    yield _table(
        "latency, ms", ("stage", *columns), [(k, *(v[c] for c in columns)) for k, v in report["latency_ms"].items()]
    )
    hit_ratio = ("hit ratio", _share(report["cache"]["hit_ratio"]))
    yield _table("response cache", ("look-up", "times"), [*report["cache"]["lookups"].items(), hit_ratio])
    made = [*report["strategies"].items(), *((f"without {part}", n) for part, n in report["degraded"].items())]
    yield _table("answers", ("made by", "times"), made)
    redis = report["redis"]
    facts = [(of.replace("_", " "), _words(redis[of])) for of in ("data", "writes", "maxmemory_policy", "persistence")]
    yield _table("redis", ("of", "state"), [*facts, ("evicted keys", redis["evicted_keys"])])
    drift = [
        (fact, one["psi"], one["state"], one["lists"], one["reference_mean"], one["present_mean"])
        for fact, one in report["drift"].items()
    ]
    yield _table("drift", ("of", "PSI", "state", "lists", "mean then", "mean now"), drift)
    for result in report["experiments"]:
        p_values = {one["arm"]: one["p_value"] for one in result["comparisons"]}
        arms = [
            (arm["name"], arm["people"], arm["lists"], _share(arm["ctr"]), _range(arm), p_values.get(arm["name"]))
            for arm in result["arms"]
        ]
        yield _table(f"experiment {result['name']}", ("arm", "people", "lists", "CTR", "95 %", "p"), arms)
    yield _table("coverage", ("of", "share"), [(kind, _share(share)) for kind, share in report["coverage"].items()])
    health = [
        (source, one["width"], one["missing"], one["norm_mean"], f"{one['norm_min']} – {one['norm_max']}")
        for source, one in report["embeddings"].items()
    ]
    yield _table("embeddings", ("source", "width", "missing", "mean norm", "norms"), health)
    lists = [(one["strategy"], ", ".join(one["titles"][:5])) for one in report["sample_lists"]]
    yield _table("served lately", ("strategy", "first five films"), lists)


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Table:
    table, rows = Table(title=title, title_justify="left"), list(rows)
    for at, column in enumerate(columns):
        is_figure = all(isinstance(row[at], int | float | None) for row in rows)
        table.add_column(column, justify="right" if is_figure else "left", overflow="fold")
    for row in rows:
        table.add_row(*("–" if value is None else str(value) for value in row))
    return table


def _words(value: str | list[str]) -> str:
    return ", ".join(value) if isinstance(value, list) else value.replace("_", " ")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _range(arm: dict[str, Any]) -> str:
    return "–" if arm["ctr_low"] is None else f"{arm['ctr_low']:.1%} – {arm['ctr_high']:.1%}"
