"""A training's report: a folder of Markdown and plots, and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.checkpoint import Checkpoint
from training.evaluation import plots
from training.evaluation.model_card import interval, markdown_table, model_card, quality
from training.evaluation.segments import FILMS

MAPPED = ("sequence", "two_tower", "text")
"""Spaces on the map."""


def write_report(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Write report.md, model_card.md and the plots they show below `folder`, made when missing; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_head(checkpoint), _curves(checkpoint, folder)]
    for split, report in checkpoint.metrics.items():
        parts.append(_split(split, report, folder))
    parts.append(_map(checkpoint, folder))
    (folder / "report.md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    (folder / "model_card.md").write_text(model_card(checkpoint), encoding="utf-8")
    return sorted(folder.iterdir())


def _head(checkpoint: Checkpoint) -> str:
    facts = checkpoint.facts
    coverage = markdown_table(
        ("share of films with", ""), [(kind, f"{share:.1%}") for kind, share in checkpoint.content.coverage().items()]
    )
    return (
        f"# Training on {facts.name}{' (SIMULATED people)' if facts.simulated else ''}\n\n"
        f"{facts.events:,} events of {facts.people:,} people on {facts.films:,} films; "
        f"{facts.hold_out or 'nothing'} held out; options `{checkpoint.options_hash}`. "
        f"See the [model card](model_card.md).\n\n{coverage}"
    )


def _curves(checkpoint: Checkpoint, folder: Path) -> str:
    if not checkpoint.models.curves:
        return ""
    plots.learning_curves(folder / "learning_curves.png", checkpoint.models.curves)
    rows = [
        (name, str(len(curve.losses)), str(curve.best_epochs), f"{max(curve.scores, default=float('nan')):.4f}")
        for name, curve in checkpoint.models.curves.items()
    ]
    table = markdown_table(("network", "epochs", "kept", "validation NDCG@10"), rows)
    return f"## Learning curves\n\n![Learning curves](learning_curves.png)\n\n{table}"


def _split(split: str, report: Mapping[str, Any], folder: Path) -> str:
    plots.metric_bars(folder / f"{split}_metrics.png", report)
    plots.coverage_bars(folder / f"{split}_coverage.png", report)
    parts = [
        f"## {split.capitalize()}",
        quality(split, report),
        f"![NDCG@10]({split}_metrics.png)",
        f"![Coverage]({split}_coverage.png)",
    ]
    if "segments" in report:
        plots.segment_bars(folder / f"{split}_segments.png", report["segments"])
        parts.append(_segments(split, report["segments"]))
    else:
        parts.append("Quality by kind of person and film was not measured by the version that trained this.")
    return "\n\n".join(parts)


def _segments(split: str, found: Mapping[str, Any]) -> str:
    people = [
        (name, f"{row['fewest_events']} to {row['most_events'] or '…'}", str(row["people"]), interval(row["ndcg@10"]),
         interval(row["hit_rate@10"]))
        for name, row in found["people"].items()
    ]  # fmt: skip
    films = [
        (name, str(row["films"]), str(row["targets"]), interval(row["recall@10"]), f"{row['share_of_lists']:.1%}")
        for name, row in found["films"].items()
    ]
    half, most = FILMS["head"], FILMS["middle"]
    return "\n\n".join(
        (
            f"### Of the hybrid, by person and by film\n\n![By person and film]({split}_segments.png)",
            markdown_table(("people", "events known", "people", "ndcg@10", "hit_rate@10"), people),
            markdown_table(("films", "films", "targets", "recall@10", "share of the lists"), films),
            f"The head are the most watched films that have {half:.0%} of all events together, with the middle they "
            f"have {most:.0%}.",
        )
    )


def _map(checkpoint: Checkpoint, folder: Path) -> str:
    vectors = {source: checkpoint.item_vectors[source] for source in MAPPED if checkpoint.item_vectors[source].any()}
    plots.embedding_map(folder / "embedding_map.png", vectors, checkpoint.catalog, checkpoint.popularity)
    return (
        "## Films on the map\n\n![Films on the map](embedding_map.png)\n\n"
        "The two strongest directions of each space (PCA), coloured by a film's first genre."
    )
