"""Fine-tunes the text encoder on films that the same people liked.

Pairs come from the given events alone: pass a split's `train`, never the whole data, when the result is to be
measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from features.catalog import Catalog
from features.text import film_text
from features.thresholds import STRONGLY_LIKED_FROM
from training.content.text_encoder import open_sentence_transformer, packaged_model_folder
from training.data.dataset import Events
from training.data.errors import DataError

Pairs = npt.NDArray[np.int64]

CPU = torch.device("cpu")


class NothingLiked(DataError):
    """There is no pair of liked films to train on."""

    def __init__(self, liked_stars: float) -> None:
        super().__init__(
            f"no two films were rated {liked_stars:g} or more by the same person: nothing to learn. Lower --liked"
        )


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """How the text encoder is fine-tuned."""

    pairs: int = 6_400
    """Pairs of co-liked films learnt from."""
    liked_stars: float = STRONGLY_LIKED_FROM
    """A film rated at least this is liked."""
    window: int = 5
    """Two films are a pair when a person liked them at most this many liked films apart."""
    batch_size: int = 64
    """Pairs per batch; each film is contrasted with all others of its batch."""
    learning_rate: float = 2e-5
    seed: int = 0
    device: torch.device = CPU


def finetune_text(
    catalog: Catalog,
    events: Events,
    folder: Path,
    options: FinetuneOptions = FinetuneOptions(),
    on_step: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> Path:
    """Fine-tune all-MiniLM-L6-v2 so that co-liked films come closer; writes and returns `folder`.

    events: sorted by person and time. folder: in sentence-transformers' layout, as
    `ContentOptions.text_encoder_folder` takes it. on_step: called with (steps done, steps in all, last
    loss).
    Loss: multiple negatives ranking (Henderson et al. 2017).

    Raises: NothingLiked.
    """
    pairs = co_liked_pairs(events, options)
    if not len(pairs):
        raise NothingLiked(options.liked_stars)
    transformer = open_sentence_transformer(packaged_model_folder())  # guards torchvision for the import below
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import batch_to_device

    transformer.to(options.device).train()
    loss_of = MultipleNegativesRankingLoss(transformer)
    texts = [film_text(film) or "untitled" for film in catalog.films]
    batches = list(batches_without_repeats(pairs, options.batch_size))
    optimizer = torch.optim.AdamW(transformer.parameters(), lr=options.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, len(batches) + 1, pct_start=0.1)
    with torch.random.fork_rng(devices=[options.device] if options.device.type == "cuda" else []):
        torch.manual_seed(options.seed)  # dropout
        for done, batch in enumerate(batches, start=1):
            sides = [transformer.preprocess([texts[row] for row in column]) for column in batch.T]
            loss = loss_of([batch_to_device(side, options.device) for side in sides], torch.empty(0))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            on_step(done, len(batches), float(loss.detach()))
    transformer.cpu().eval().save(str(folder), create_model_card=False)
    return folder


def co_liked_pairs(events: Events, options: FinetuneOptions) -> Pairs:
    """(P, 2) item rows of films that one person liked soon after one another, sampled by the seed; P <= options.pairs.

    What was watched without a rating counts as liked.

    Popular films are sampled less often than they occur: by one over the root of both films' likes.
    """
    liked = (events.ratings == 0) | (events.ratings >= options.liked_stars)
    people, films = events.user_rows[liked], events.item_rows[liked].astype(np.int64)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for distance in range(1, options.window + 1):
        same = (people[distance:] == people[:-distance]) & (films[distance:] != films[:-distance])
        found.append(np.stack([films[:-distance][same], films[distance:][same]], axis=1))
    pairs = np.concatenate(found)
    if not len(pairs):
        return pairs
    likes = np.bincount(films, minlength=1)
    weights = 1 / np.sqrt(likes[pairs].prod(axis=1))
    random = np.random.default_rng(options.seed)
    drawn = random.choice(len(pairs), min(options.pairs, len(pairs)), replace=False, p=weights / weights.sum())
    return random.permuted(pairs[drawn], axis=1)


def batches_without_repeats(pairs: Pairs, batch_size: int) -> Iterator[Pairs]:
    """Batches (at most batch_size, 2) in which no film occurs twice: its second pair would count as a wrong answer.

    Pairs that do not fit go into a later batch. A pair that stays alone in its batch has no negatives and is left out;
    no other is lost.
    """
    waiting = list(pairs)
    while waiting:
        batch: list[Pairs] = []
        used: set[int] = set()
        later: list[Pairs] = []
        for position, pair in enumerate(waiting):
            if len(batch) == batch_size:
                later += waiting[position:]
                break
            if used.isdisjoint(pair.tolist()):
                batch.append(pair)
                used.update(pair.tolist())
            else:
                later.append(pair)
        if len(batch) > 1:
            yield np.stack(batch)
        waiting = later
