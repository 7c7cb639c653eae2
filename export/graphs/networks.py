"""The networks of a release: written as ONNX and TorchScript, each with its parity proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import nn

from export.errors import ParityFailed
from export.example_inputs import BATCH_SIZES, Tensors, candidate_batch, empty_history, history_batch
from export.graphs.onnx_graphs import network_run, onnx_run
from export.graphs.parity import Claim, Run, prove
from export.graphs.precision import Precision
from export.graphs.torchscript import export_torchscript, torchscript_run
from export.layout import NEW_FILM_TOWER
from features.posters import UnreadableImage, pixels
from features.sources import CONTENT_SOURCES, FUSION_INPUTS, NEIGHBOUR_SOURCE, SOURCES, encoders, source_slices
from features.text import film_text, open_tokenizer, tokenize
from training.models.new_film_tower import tower_inputs

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from features.release_manifest import Parity
    from training.checkpoint import Checkpoint
    from training.data.dataset import Dataset

Float32 = npt.NDArray[np.float32]
Scores = Callable[[Tensors], npt.NDArray[np.floating]]

SEED = 20
"""Of the inputs that parity is proven on: any will do, and the same ones each time make failures repeat."""

STORED_TEXTS = 16
"""So many of the release's text vectors are encoded again, spread over the catalogue."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a network is tried with."""

    batches: Sequence[Tensors]
    """The second one, of two rows or more, is also what the network is traced with."""
    scores: Scores


@dataclass(frozen=True, slots=True)
class Network:
    """A network of a release, and how it is exported."""

    module: nn.Module
    trial: Trial
    precision: Precision = "fp32"

    @property
    def size(self) -> int:
        """Numbers that it holds."""
        return sum(tensor.numel() for tensor in self.module.state_dict().values())


def prove_graph(network: Network, model: str, path: Path) -> Parity:
    """Compare a written graph with its network. Raises: ParityFailed, RankingChanged."""
    trial = network.trial
    claim = Claim(model, network_run(network.module), onnx_run(path), trial.scores, network.precision)
    return prove(claim, trial.batches)


def export_traced_network(module: nn.Module, trial: Trial, config: ModelConfig, folder: Path) -> Parity:
    """Write `model.pt` and prove it. Raises: GraphRejected, SignatureMismatch, ParityFailed, RankingChanged."""
    path = folder / "model.pt"
    export_torchscript(module, trial.batches[1], config.name, path)
    run = torchscript_run(path, tuple(module.input_names), tuple(module.output_names))  # type: ignore[arg-type]
    return prove(Claim(config.name, network_run(module), run, trial.scores), trial.batches)


def user_encoder_trial(model: str, trained: Checkpoint) -> Trial:
    """Histories, an empty one among them."""
    n_films = len(trained.catalog)
    batches = [empty_history(), *(history_batch(n_films, size, SEED) for size in sorted(BATCH_SIZES, reverse=True))]
    return Trial(batches, _user_scores(model, trained))


def fusion_trial(trained: Checkpoint, fused: Float32) -> Trial:
    """What the encoders say of the trial histories, under the release's weights and every preset."""
    runs = {model: network_run(module) for model, module in trained.encoders.items() if model != "fusion"}
    mixes = [trained.fusion_weights, *trained.presets.values()]
    batches = [_fusion_inputs(runs, mixes, batch) for batch in user_encoder_trial("user_tower", trained).batches]
    return Trial(batches, lambda outputs: outputs["query"] @ fused.T)


def scorer_trial(trained: Checkpoint) -> Trial:
    """Candidates of the trial histories, films that came after the release among them."""
    mixes = [trained.fusion_weights, *trained.presets.values()]
    batches = [
        batch | candidate_batch(len(trained.catalog), _weights(mixes, len(batch["history"])), SEED)
        for batch in user_encoder_trial("user_tower", trained).batches
    ]
    return Trial(batches, lambda outputs: outputs["scores"])


def text_trial(trained: Checkpoint) -> Trial:
    """Texts of films, in the largest batch titles alone, for the sake of time; in batches an empty text, too."""
    tokenizer = open_tokenizer(trained.content.tokenizer_json)
    films = trained.catalog.films
    batches = []
    for size in sorted(BATCH_SIZES, reverse=True):
        whole = size < max(BATCH_SIZES)
        texts = [film_text(film) if whole else film.title for film in films[: max(1, size - 1)]]
        input_ids, attention_mask = tokenize(tokenizer, [*texts, ""] if size > 1 else texts)
        batches.append({"input_ids": input_ids, "attention_mask": attention_mask})
    return Trial(batches, lambda outputs: outputs["embedding"] @ trained.content.text.T)


def poster_trial(trained: Checkpoint, dataset: Dataset, max_batch_size: int) -> Trial:
    """The first posters of the data that can be read."""
    images = np.stack([image for _, image in _posters(trained, dataset, max_batch_size)])
    sizes = sorted({min(size, len(images)) for size in BATCH_SIZES}, reverse=True)
    # Repeated where there is but one poster: a network is traced with two rows or more.
    traced = np.resize(images, (max(2, len(images)), *images.shape[1:]))
    batches = [{"pixels": images[:1]}, {"pixels": traced}, *({"pixels": images[:size]} for size in sizes[1:])]
    return Trial(batches, lambda outputs: outputs["embedding"] @ trained.content.poster.T)


def new_film_trial(trained: Checkpoint, fused: Float32) -> Trial:
    """Films of the release as if they were new; among them one of which nothing is known."""
    inputs = tower_inputs(trained)
    nothing = {name: np.zeros_like(column[:1]) for name, column in inputs.items()}
    known = {name: np.concatenate([nothing[name], column]) for name, column in inputs.items()}
    batches = [rows_from_start(known, size) for size in sorted(BATCH_SIZES, reverse=True)]
    return Trial([nothing, *batches], lambda outputs: outputs["item_vector"] @ fused.T)


def rows_from_start(tensors: Tensors, size: int) -> Tensors:
    """The first `size` rows, repeated where there are fewer."""
    return {name: np.resize(column, (size, *column.shape[1:])) for name, column in tensors.items()}


def check_new_film_slices(trained: Checkpoint, fused: Float32, run: Run, tolerance: float) -> None:
    """A film of the release, taken for a new one, gets the index's text and poster slices. Raises: ParityFailed."""
    sample = rows_from_start(tower_inputs(trained), min(max(BATCH_SIZES), len(fused)))
    given = run(sample)["item_vector"]
    for source in CONTENT_SOURCES:
        columns = source_slices()[source]
        for row, vector in enumerate(given[:, columns]):
            _check_stored(NEW_FILM_TOWER, row, vector, fused[row, columns], tolerance)


def check_stored_texts(trained: Checkpoint, run: Run, tolerance: float) -> None:
    """The encoder in the release gives the vectors in the release. Raises: ParityFailed."""
    tokenizer = open_tokenizer(trained.content.tokenizer_json)
    rows = np.flatnonzero(trained.content.text_present)
    for row in rows[:: max(1, len(rows) // STORED_TEXTS)]:  # one by one: as a text arrives when it is served
        input_ids, mask = tokenize(tokenizer, [film_text(trained.catalog.films[row])])
        given = run({"input_ids": input_ids, "attention_mask": mask})["embedding"][0]
        _check_stored("text_encoder", int(row), given, trained.content.text[row], tolerance)


def check_stored_posters(trained: Checkpoint, dataset: Dataset, most: int, run: Run, tolerance: float) -> None:
    """The encoder in the release gives the vectors in the release. Raises: ParityFailed."""
    for row, image in _posters(trained, dataset, most):
        given = run({"pixels": image[None]})["embedding"][0]
        _check_stored("image_encoder", row, given, trained.content.poster[row], tolerance)


def _check_stored(model: str, row: int, given: Float32, stored: Float32, tolerance: float) -> None:
    difference = float(np.abs(given - stored).max())
    if not difference <= tolerance:
        raise ParityFailed(model, f"the stored vector of item_row {row}", difference, tolerance)


def _posters(trained: Checkpoint, dataset: Dataset, most: int) -> Iterator[tuple[int, Float32]]:
    found = 0
    for row in np.flatnonzero(trained.content.poster_present).tolist():
        try:
            image = pixels(dataset.poster_paths[row].read_bytes(), trained.content.poster_size)
        except (UnreadableImage, OSError, KeyError):
            continue  # changed since it was encoded: any other poster proves as much
        yield row, image
        found += 1
        if found == most:
            return


def _user_scores(model: str, trained: Checkpoint) -> Scores:
    if model == NEIGHBOUR_SOURCE:
        n_films = len(trained.catalog)
        return lambda outputs: _dense(outputs["candidate_rows"], outputs["candidate_scores"], n_films)
    vectors, sources = trained.item_vectors, encoders()[model]
    return lambda outputs: np.concatenate([outputs[name] @ vectors[source].T for name, source in sources.items()])


def _dense(rows: npt.NDArray[np.generic], scores: npt.NDArray[np.generic], n_films: int) -> Float32:
    """(B, C) candidates → (B, N), -1 where there is no score: row -1 writes beside the catalogue and is cut off."""
    dense = np.full((len(rows), n_films + 1), -1, dtype=np.float32)
    np.put_along_axis(dense, np.asarray(rows, dtype=np.int64) + 1, scores, axis=1)
    return dense[:, 1:]


def _fusion_inputs(runs: dict[str, Run], mixes: Sequence[dict[str, float]], histories: Tensors) -> Tensors:
    inputs: Tensors = {"weights": _weights(mixes, len(histories["history"]))}
    for model, sources in encoders().items():
        outputs = runs[model](histories)
        inputs |= {FUSION_INPUTS[source]: outputs[name] for name, source in sources.items()}
    return inputs


def _weights(mixes: Sequence[dict[str, float]], batch_size: int) -> Float32:
    """(B, S) the mixes in turn."""
    weights = np.array([[mix.get(source, 0.0) for source in SOURCES] for mix in mixes], dtype=np.float32)
    return np.resize(weights, (batch_size, len(SOURCES)))
