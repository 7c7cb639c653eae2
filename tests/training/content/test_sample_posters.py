"""What the poster network learns on the embedded sample: genres of posters that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sample.films import sample_films
from sample.posters import draw_poster
from training.content.encode import ContentOptions
from training.content.poster_encoder import read_pixels
from training.content.poster_training import (
    SCRATCH_MARGIN,
    SCRATCH_SIZE,
    PosterExamples,
    PosterTraining,
    era_of,
    train_poster_encoder,
)

NEIGHBOURS = 10


@pytest.mark.slow
def test_posters_never_seen_lie_among_posters_of_their_first_genre(tmp_path: Path) -> None:
    """Every fourth film's poster is kept from the training; its ten nearest are sought among the others.

    Measured with 3 epochs: see `ContentOptions.poster_epochs`. Chance is the share of films of the same first genre.
    """
    films = sample_films()
    paths = [tmp_path / f"{film.movie_id}.jpg" for film in films]
    for film, path in zip(films, paths, strict=True):
        path.write_bytes(draw_poster(film))
    names = sorted({genre for film in films for genre in film.genres})
    genres = np.array([[name in film.genres for name in names] for film in films], dtype=np.float32)
    unseen = np.arange(len(films)) % 4 == 0

    learnt_from = np.flatnonzero(~unseen)
    large = [read_pixels(paths[row], SCRATCH_SIZE + SCRATCH_MARGIN) for row in learnt_from]
    eras = np.array([era_of(films[row].year) for row in learnt_from])
    examples = PosterExamples(np.stack([image for image in large if image is not None]), genres[learnt_from], eras)
    encoder = train_poster_encoder(examples, PosterTraining(ContentOptions().poster_epochs))

    images = np.stack([image for path in paths if (image := read_pixels(path, SCRATCH_SIZE)) is not None])
    with torch.inference_mode():
        vectors = np.concatenate([encoder(batch)[0].numpy() for batch in torch.from_numpy(images).split(64)])
    centred = vectors - vectors[~unseen].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    nearest = learnt_from[np.argsort(-(centred[unseen] @ centred[~unseen].T), axis=1)[:, :NEIGHBOURS]]

    first = np.array([film.genres[0] for film in films])
    same = (first[nearest] == first[unseen][:, None]).mean()
    chance = (first[~unseen] == first[unseen][:, None]).mean()
    print(f"same first genre among {NEIGHBOURS} neighbours: {same:.3f}, by chance {chance:.3f}")
    assert same > 2 * chance
