"""Plots of a training's report, drawn without a display."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from features.catalog import Catalog
from training.fit.loop import Curve

Float32 = npt.NDArray[np.float32]

WITHIN = 1.96
"""Standard errors on each side of a 95 % interval."""

LABELLED = 12
"""Most watched films, whose titles are shown on the map."""

OTHER = "#bbbbbb"


@contextmanager
def drawn(path: Path, width: float = 8, height: float = 4.5) -> Iterator[Figure]:
    """A figure that is saved at the end."""
    figure = Figure(figsize=(width, height), layout="constrained")
    yield figure
    figure.savefig(path, dpi=110)


def learning_curves(path: Path, curves: Mapping[str, Curve]) -> None:
    """Loss and validation NDCG@10 of each network per epoch; a line marks the best epoch."""
    with drawn(path, height=2.6 * max(1, len(curves))) as figure:
        for row, (name, curve) in enumerate(curves.items()):
            axes = figure.add_subplot(max(1, len(curves)), 1, row + 1)
            epochs = np.arange(1, len(curve.losses) + 1)
            axes.plot(epochs, curve.losses, color="tab:blue", marker=".")
            axes.set(title=name, xlabel="epoch", ylabel="loss")
            axes.axvline(curve.best_epochs, color=OTHER, linestyle="--")
            if curve.scores:
                right = axes.twinx()
                right.plot(np.arange(1, len(curve.scores) + 1), curve.scores, color="tab:orange", marker=".")
                right.set_ylabel("validation NDCG@10", color="tab:orange")


def metric_bars(path: Path, report: Mapping[str, Any], metric: str = "ndcg@10") -> None:
    """A bar with its 95 % interval for each source and mix, best last."""
    rows = sorted(report["sources"].items(), key=lambda row: row[1][metric]["mean"])
    with drawn(path, height=1 + 0.32 * len(rows)) as figure:
        axes = figure.add_subplot()
        means = [row[metric]["mean"] for _, row in rows]
        errors = [WITHIN * row[metric]["se"] for _, row in rows]
        colours = ["tab:orange" if name == "hybrid" else "tab:blue" for name, _ in rows]
        axes.barh([name for name, _ in rows], means, xerr=errors, color=colours, ecolor="#444444", capsize=2)
        axes.set(xlabel=metric, title=f"{report['protocol']}, {report['people']} people")


def coverage_bars(path: Path, report: Mapping[str, Any], cutoffs: tuple[int, ...] = (5, 10, 20)) -> None:
    """Catalogue coverage by source and length of the list."""
    names = [name for name in report["sources"] if not name.startswith("hybrid without")]
    with drawn(path) as figure:
        axes = figure.add_subplot()
        for place, k in enumerate(cutoffs):
            shares = [report["sources"][name][f"coverage@{k}"]["mean"] for name in names]
            axes.bar(np.arange(len(names)) + 0.27 * (place - 1), shares, width=0.25, label=f"first {k}")
        axes.set_xticks(range(len(names)), names, rotation=30)
        axes.set(ylabel="share of the catalogue", title="Coverage")
        axes.legend()


def segment_bars(path: Path, found: Mapping[str, Any]) -> None:
    """NDCG@10 by length of history, recall@10 by popularity of films."""
    with drawn(path, height=3.5) as figure:
        for place, (kind, metric) in enumerate((("people", "ndcg@10"), ("films", "recall@10"))):
            axes, table = figure.add_subplot(1, 2, place + 1), found[kind]
            errors = [WITHIN * row[metric]["se"] for row in table.values()]
            axes.bar(list(table), [row[metric]["mean"] for row in table.values()], yerr=errors, capsize=3)
            axes.set(title=kind, ylabel=metric)


def embedding_map(path: Path, vectors: Mapping[str, Float32], catalog: Catalog, popularity: Float32) -> None:
    """Films of each space on its first two principal components, coloured by genre, and titles of the most watched."""
    genres = first_genres(catalog)
    common = [genre for genre, _ in sorted(_counts(genres).items(), key=lambda pair: -pair[1])[:7] if genre]
    most_watched = np.argsort(-popularity, kind="stable")[:LABELLED]
    with drawn(path, width=7 * len(vectors), height=6) as figure:
        for place, (source, array) in enumerate(vectors.items()):
            axes, (points, share) = figure.add_subplot(1, len(vectors), place + 1), two_directions(array)
            other = ~np.isin(genres, common)
            axes.scatter(points[other, 0], points[other, 1], s=5, color=OTHER)
            for genre in common:
                inside = genres == genre
                axes.scatter(points[inside, 0], points[inside, 1], s=8, label=genre)
            for row in most_watched:
                x, y = points[row].tolist()
                axes.annotate(catalog.films[row].title, (x, y), fontsize=7, in_layout=False, clip_on=True)
            axes.set(title=f"{source}: {share:.0%} of the variance")
        axes.legend(fontsize=7)


def two_directions(vectors: Float32) -> tuple[Float32, float]:
    """(N, D) → (N, 2) coordinates on the first two principal components, and their share of the variance, 0 to 1."""
    centred = vectors - vectors.mean(axis=0)
    strengths, directions = np.linalg.eigh(centred.T @ centred)
    share = strengths[-2:].sum() / max(float(strengths.sum()), 1e-12)
    return centred @ directions[:, [-1, -2]], float(share)


def first_genres(catalog: Catalog) -> npt.NDArray[np.str_]:
    """(N,) the first genre of each film, "" without any."""
    return np.array([film.genres[0] if film.genres else "" for film in catalog.films])


def _counts(values: npt.NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
