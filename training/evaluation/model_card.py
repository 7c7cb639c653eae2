"""The model card: training data, intended use, limits and quality of a training's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.checkpoint import Checkpoint, DataFacts

SIMULATED = (
    "**The people are simulated**: a program with planted tastes wrote their ratings. Metrics show that the machinery "
    "works; they say nothing about how real people would like the recommendations."
)
REAL = (
    "The people are real. Ratings were given by those who chose to rate, of films they chose to watch: what is "
    "missing is not missing at random, and offline metrics reward what resembles that choice."
)
MOVIELENS = (
    "MovieLens, by GroupLens, University of Minnesota. Its README sets the terms: research use with acknowledgement, "
    "no commercial use without permission, redistribution under the same terms alone. Models made from it should be "
    "treated alike. F. M. Harper, J. A. Konstan: The MovieLens Datasets: History and Context, ACM TiiS 5 (2015) 19."
)
LICENCES = {"sample": "The embedded sample: descriptions, posters and people were made for Marquee, Apache-2.0."}
OWN = "Unknown to Marquee: data of your own have the terms under which you hold them."

CARD = """# Model card: {name}

{what}

## Data

{data}

{people}

**Licence.** {licence}

## Intended use

Recommending films of the catalogue to people by what they watched or rated, as one opinion among what a page shows;
comparing recommenders; teaching. A person need not have been trained on: their history is read when they are served.

## Limits

- Only films of the catalogue are recommended; people without history get popular films, spread over genres.
- What is watched much is shown much: see coverage and the tail of the report. Nothing here corrects for it.
- No age limits, no notion of what is suitable for whom. Not for decisions about people.
- A text vector knows the English of MiniLM's training texts; posters say little (see the weights).
- Taste moves: train again as events come in. Trained on events up to what the data hold, and none later.

## Models

{weights}

Text: all-MiniLM-L6-v2 (Apache-2.0){finetuned}. Posters: {posters}.

## Quality

{quality}

{held_out}
"""


def model_card(checkpoint: Checkpoint) -> str:
    """The card of a training, as Markdown."""
    facts = checkpoint.facts
    return CARD.format(
        name=facts.name,
        what="A hybrid of a transformer over watch history, two towers, iALS, EASE, text and poster content, and "
        f"popularity. Data `{facts.fingerprint[:12]}`, options `{checkpoint.options_hash}`.",
        data=f"{facts.name}: {facts.events:,} events of {facts.people:,} people on {facts.films:,} films.",
        people=SIMULATED if facts.simulated else REAL,
        licence=licence(facts),
        weights=markdown_table(
            ("source", "weight"), [(source, f"{weight:.3f}") for source, weight in checkpoint.fusion_weights.items()]
        ),
        finetuned=", fine-tuned" if checkpoint.content.text_encoder_folder else "",
        posters=checkpoint.content.poster_weights,
        quality="\n\n".join(quality(name, report) for name, report in checkpoint.metrics.items()),
        held_out=f"Held out of the served models: {facts.hold_out}."
        if facts.hold_out
        else "Nothing was held out of the served models; validation figures are of models trained without each "
        "person's newest five events, which also chose epochs and weights, and so flatter a little.",
    )


def licence(facts: DataFacts) -> str:
    """The data's licence, as far as its name tells."""
    if facts.simulated:
        return LICENCES["sample"]
    return MOVIELENS if facts.name.startswith("ml-") else OWN


def quality(name: str, report: Mapping[str, Any]) -> str:
    """A sentence and the metrics table of one split."""
    lead = report["lead_ndcg@10"]
    return (
        f"**{name}**: {report['protocol']}, {report['people']} people, the whole catalogue ranked without films seen; "
        f"the hybrid's NDCG@10 exceeds that of {report['best_part']}, its best part, by {lead['mean']:+.4f} "
        f"(95 % from {lead['low']:+.4f} to {lead['high']:+.4f}).\n\n{metric_table(report)}"
    )


def metric_table(report: Mapping[str, Any], metrics: tuple[str, ...] = ("ndcg@10", "hit_rate@10", "recall@10")) -> str:
    """Means with 95 % intervals, a line for each source and mix."""
    rows = [
        (source, *(interval(values[metric]) for metric in metrics), f"{values['coverage@10']['mean']:.3f}")
        for source, values in report["sources"].items()
    ]
    return markdown_table(("", *metrics, "coverage@10"), rows)


def interval(value: Mapping[str, float]) -> str:
    """ ".1234 (.1200 to .1268)"."""
    low, high = value["mean"] - 1.96 * value["se"], value["mean"] + 1.96 * value["se"]
    return f"{value['mean']:.4f} ({low:.4f} to {high:.4f})"


def markdown_table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
