"""Files of a run: figures and every request as CSV, plots as SVG, and a page with all of it that stands alone."""

from __future__ import annotations

import base64
import csv
import gzip
import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from loadtest.open_loop import plots
from loadtest.open_loop.arrivals import Phase
from loadtest.open_loop.bounds import Bound, Verdict, verdicts
from loadtest.open_loop.figures import Figures, by_kind, by_phase, by_second, figures_of
from loadtest.open_loop.samples import COLUMNS, Outcome, Table

LATE_MS = 20.0
"""A load generator whose 99th percentile is later than this is itself part of what it shows."""

HEADINGS = tuple(field.name for field in fields(Figures))

ON_THE_PAGE = tuple(name for name in HEADINGS if name not in ("refused_ratio", "failed_ratio", "p90_ms", "p95_ms"))
"""What fits beside each other; the CSV files have the rest."""

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-size:13px}th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;
text-align:right}th:first-child,td:first-child{text-align:left}.broken{color:#b00020;font-weight:bold}img{max-width:100%}"""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    facts: Mapping[str, str]
    """What was asked for, in words: shown on the page."""
    phases: tuple[Phase, ...]
    bounds: tuple[Bound, ...]
    rows: Table

    @cached_property
    def whole(self) -> Figures:
        """Figures of all requests."""
        return figures_of(self.rows, sum(phase.seconds for phase in self.phases))

    @cached_property
    def of_phases(self) -> dict[str, Figures]:
        """Figures of each phase."""
        return by_phase(self.rows, self.phases)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Each bound beside its figure."""
        return verdicts(self.bounds, self.whole, self.of_phases)

    @property
    def planned(self) -> int:
        """Requests that were to start."""
        return sum(phase.n_arrivals for phase in self.phases)

    @property
    def broken(self) -> list[str]:
        """Why the run fails, one reason each; empty where it passes."""
        missing = []
        if len(self.rows) != self.planned:
            missing.append(f"{self.planned:,} requests were to start, {len(self.rows):,} are accounted for")
        return missing + [
            f"{verdict.bound}: it is {verdict.measured:.4g}" for verdict in self.verdicts if not verdict.kept
        ]

    @property
    def warnings(self) -> list[str]:
        """What makes the figures doubtful without failing the run."""
        if self.whole.send_lag_p99_ms > LATE_MS:
            late = f"the load generator sent 1 % of the requests {self.whole.send_lag_p99_ms:.0f} ms late or more"
            return [f"{late}: the server is not all that is measured; use more workers, or more cores"]
        return []


def write(run: Run, folder: Path) -> None:
    """Write all files of a run; files of an earlier one are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = by_second(run.rows)
    kinds = by_kind(run.rows, sum(phase.seconds for phase in run.phases))
    _write_figures(folder / "phases.csv", "phase", {"all": run.whole, **run.of_phases})
    _write_figures(folder / "kinds.csv", "kind", kinds)
    _write_figures(folder / "seconds.csv", "second", seconds)
    _write_requests(folder / "requests.csv.gz", run)
    plots.rates(folder / "rate.svg", seconds)
    plots.latencies(folder / "latency.svg", seconds)
    plots.distributions(folder / "percentiles.svg", run.rows, run.phases)
    pictures = [folder / name for name in ("rate.svg", "latency.svg", "percentiles.svg")]
    (folder / "report.html").write_text(_page(run, kinds, pictures), encoding="utf-8")


def _write_figures(path: Path, what: str, figures: Mapping[Any, Figures]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([what, *HEADINGS])
        writer.writerows([name, *_cells(each, HEADINGS, digits=6)] for name, each in figures.items())


def _write_requests(path: Path, run: Run) -> None:
    names = [phase.name for phase in run.phases]
    with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.names or ())
        for intended_s, latency_ms, send_lag_ms, phase, kind, outcome in run.rows.tolist():
            times = (f"{intended_s:.6f}", f"{latency_ms:.3f}", f"{send_lag_ms:.3f}")
            writer.writerow([*times, names[phase], kind, Outcome(outcome).name.lower()])


def _cells(figures: Figures, names: Iterable[str], digits: int) -> list[str]:
    values = (getattr(figures, name) for name in names)
    return [str(value) if isinstance(value, int) else f"{value:.{digits}g}" for value in values]


def _figures_table(what: str, figures: Mapping[str, Figures]) -> str:
    rows = [[name, *_cells(each, ON_THE_PAGE, digits=4)] for name, each in figures.items()]
    return _table([what, *ON_THE_PAGE], rows)


def _page(run: Run, kinds: Mapping[str, Figures], pictures: Iterable[Path]) -> str:
    verdict = '<span class="broken">FAIL</span>' if run.broken else "PASS"
    bounds = [[str(each.bound), f"{each.measured:.4g}", "kept" if each.kept else "broken"] for each in run.verdicts]
    parts = [
        f"<h1>Open-loop load: {verdict}</h1>",
        *(f'<p class="broken">{html.escape(reason)}</p>' for reason in [*run.broken, *run.warnings]),
        "<p>Latencies count from when a request was to start, whether or not it could be sent then.</p>",
        _table(["what", "value"], [list(fact) for fact in run.facts.items()]),
        "<h2>Bounds</h2>",
        _table(["bound", "measured", ""], bounds),
        "<h2>Phases</h2>",
        _figures_table("phase", {"all": run.whole, **run.of_phases}),
        "<h2>Kinds of requests</h2>",
        _figures_table("kind", kinds),
        *(f'<img alt="{picture.stem}" src="{_embedded(picture)}">' for picture in pictures),
    ]
    head = f"<meta charset='utf-8'><title>Open-loop load</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _embedded(picture: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(picture.read_bytes()).decode()
