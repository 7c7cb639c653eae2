"""From a finished training to a published release: the files of every model, proven and summed up in release.json."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import orjson

import features
from export.graphs import networks
from export.graphs.hybrid import HYBRID_UP_TO, write_hybrid
from export.graphs.hybrid_parity import prove_hybrid
from export.graphs.networks import Network
from export.graphs.onnx_graphs import onnx_run
from export.graphs.precision import REDUCIBLE_MODELS, Precision
from export.graphs.writers import GraphOrder, GraphWriter, Here
from export.index.faiss_index import BuiltIndex, IndexKind, build_index, fused_vectors, write_index
from export.index.recall import DEMANDED_RECALL, tuned
from export.layout import (
    HYBRID,
    IMAGE_MODELS,
    MODELS,
    NEW_FILM_TOWER,
    OPTIONAL_MODELS,
    ROOT,
    SCORERS,
    TORCHSCRIPT_TOWER,
    USER_ENCODERS,
    backend_of,
    copy_missing_configs,
    read_config,
)
from export.release.histories import visible_events, write_histories
from export.release.manifest import read_manifest
from export.release.posters_archive import write_posters
from export.release.publish import Draft, open_draft, publish, repository_lock
from export.release.quality_gate import check_quality
from export.release.queries import release_queries
from export.release.recipe import export_hash
from features.release_manifest import (
    CatalogFacts,
    DataFacts,
    FusionFacts,
    IndexFacts,
    ModelFacts,
    Parity,
    Recipe,
    ReleaseFacts,
)
from features.sources import SOURCES
from training.models.new_film_tower import FittedTower, fit_new_film_tower

if TYPE_CHECKING:
    from training.checkpoint import Checkpoint
    from training.data.dataset import Dataset, Events

PYTHON_MODELS = ROOT / "export" / "python_models"
FEATURES = Path(features.__file__).parent

ENSEMBLE_NOTE = "An ensemble has no files of its own: ../config.pbtxt names its steps.\n"
"""Something must lie in the version folder that Triton asks for: git, archives and images lose empty folders."""


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How a release is published."""

    keep: int = 3
    """Releases that stay in the repository, the new one among them."""
    seed: int = 0
    """The training's: it decides which events `random` held out."""
    precision: Precision = "fp32"
    """Of the networks that can be reduced, see `export.graphs.precision`."""
    max_loss_ratio: float | None = None
    """Share of the current release's quality that the new one may lose; None = any."""
    on_model: Callable[[str, int, int], None] = lambda model, done, total: None
    """Called with (model, models done, models in all) before each model is written."""
    index: IndexKind = "flat"
    """Of retrieval, see `export.index.faiss_index`."""


HERE = Here()


def export_release(
    trained: Checkpoint, dataset: Dataset, repository: Path, options: PublishOptions, graphs: GraphWriter = HERE
) -> int:
    """Write, prove and publish a release; its number. Nothing is published when a proof fails.

    graphs: who writes the networks' graphs. Raises: ExportError and its kinds.
    """
    events = visible_events(trained, dataset, options.seed)
    copy_missing_configs(repository)
    release = release_facts(trained, {}, options)
    with repository_lock(repository):
        if options.max_loss_ratio is not None:
            check_quality(release, read_manifest(repository), options.max_loss_ratio)
        build = Build(trained, dataset, events, open_draft(repository), options.precision, options.index, graphs)
        models = released_models(trained, options.index)
        written = {}
        for done, model in enumerate(build.begin(models)):
            options.on_model(model, done, len(models))
            written[model] = build.write(model)
        facts = {model: written[model] for model in models}
        explained = build.new_film_tower.explained
        release = msgspec.structs.replace(
            release, models=facts, created_at=_now(), new_films=explained, index=build.index[1]
        )
        publish(build.draft, release, options.keep)
    return build.draft.number


def released_models(trained: Checkpoint, index: IndexKind = "flat") -> list[str]:
    """The models of a release, in the order in which they are written."""
    left_out: set[str] = set()
    if trained.content.image_encoder is None:
        left_out.update(IMAGE_MODELS)
    if index != "flat" or len(trained.catalog) > HYBRID_UP_TO:
        left_out.add(HYBRID)
    return [model for model in MODELS if model not in left_out]


@dataclass(frozen=True, slots=True)
class Begun:
    """A graph that is being written."""

    network: Network
    path: Path
    wait: Callable[[], None]


@dataclass(frozen=True)
class Build:
    """One release on its way to the repository."""

    trained: Checkpoint
    dataset: Dataset
    events: Events
    """Those that the training saw."""
    draft: Draft
    precision: Precision = "fp32"
    index_kind: IndexKind = "flat"
    graphs: GraphWriter = HERE
    _begun: dict[str, Begun] = field(default_factory=dict)

    def begin(self, models: Sequence[str]) -> list[str]:
        """Begin the graphs among these models, the largest first; all models in the order in which to write them.

        An index that is not exact is measured with graphs, and so comes after them.
        """
        found = {model: network for model in models if (network := self._network(model)) is not None}
        largest_first = sorted(found, key=lambda model: -found[model].size)
        for model in largest_first:
            network, path = found[model], self.draft.folder(model) / "model.onnx"
            config = read_config(self.draft.repository, model).SerializeToString()
            order = GraphOrder(network.module, network.trial.batches, config, path, network.precision)
            self._begun[model] = Begun(network, path, self.graphs.begin(order))
        return [*largest_first, *(model for model in models if model not in found)]

    def write(self, model: str) -> ModelFacts:
        """Write one model's files into the draft."""
        config = read_config(self.draft.repository, model)
        parity = self._write_files(model, config, self.draft.folder(model))
        return ModelFacts(
            backend=backend_of(config), optional=model in OPTIONAL_MODELS, files=self.draft.files(model), parity=parity
        )

    def _write_files(self, model: str, config: Any, folder: Path) -> Parity | None:
        if model in self._begun:
            return self._finish_graph(model, config)
        if model == TORCHSCRIPT_TOWER:
            trial = networks.user_encoder_trial("user_tower", self.trained)
            return networks.export_traced_network(self.trained.encoders["user_tower"], trial, config, folder)
        if model == HYBRID:
            return self._write_hybrid(config, folder)
        writers = {"retrieval": self._write_retrieval, "tokenizer": self._write_tokenizer}
        writers |= {"image_decoder": self._write_image_decoder}
        writers.get(model, _write_ensemble)(folder)
        return None

    def _network(self, model: str) -> Network | None:
        """What is exported as a graph; None for other models."""
        trained, encoders = self.trained, self.trained.encoders
        if model in USER_ENCODERS:
            return Network(encoders[model], networks.user_encoder_trial(model, trained), self._precision_of(model))
        if model == "fusion":
            return Network(encoders[model], networks.fusion_trial(trained, self.fused))
        if model in SCORERS:
            return Network(encoders[model], networks.scorer_trial(trained))
        if model == NEW_FILM_TOWER:
            return Network(self.new_film_tower.module, networks.new_film_trial(trained, self.fused))
        if model == "text_encoder":
            return Network(trained.content.text_encoder, networks.text_trial(trained), self.precision)
        if model == "image_encoder":
            assert trained.content.image_encoder is not None
            trial = networks.poster_trial(trained, self.dataset, self._most(model))
            return Network(trained.content.image_encoder, trial, self.precision)
        return None

    def _finish_graph(self, model: str, config: Any) -> Parity:
        begun = self._begun[model]
        begun.wait()
        parity = networks.prove_graph(begun.network, model, begun.path)
        run = onnx_run(begun.path)
        if model == NEW_FILM_TOWER:
            networks.check_new_film_slices(self.trained, self.fused, run, parity.tolerance)
        if model == "text_encoder":
            networks.check_stored_texts(self.trained, run, parity.tolerance)
        if model == "image_encoder":
            networks.check_stored_posters(self.trained, self.dataset, config.max_batch_size, run, parity.tolerance)
        return parity

    def _most(self, model: str) -> int:
        return int(read_config(self.draft.repository, model).max_batch_size)

    def _precision_of(self, model: str) -> Precision:
        return self.precision if model in REDUCIBLE_MODELS else "fp32"

    @cached_property
    def fused(self) -> Any:
        """(N, D) item vectors in the fused space."""
        return fused_vectors(self.trained.item_vectors, len(self.trained.catalog))

    @cached_property
    def new_film_tower(self) -> FittedTower:
        """The network that places films nobody has watched yet."""
        return fit_new_film_tower(self.trained)

    @cached_property
    def index(self) -> tuple[BuiltIndex, IndexFacts]:
        """The index of retrieval, looking as widely as it must, and what it finds.

        Raises: RecallTooLow.
        """
        built = build_index(self.index_kind, self.fused)
        if self.index_kind == "flat":
            return built, IndexFacts()
        queries = release_queries(self.draft.folder, self.trained.fusion_weights)
        return tuned(built, self.fused, queries, DEMANDED_RECALL)

    def _write_hybrid(self, config: Any, folder: Path) -> Parity:
        """After all the graphs that it is joined from."""
        write_hybrid(self.draft.folder, self.fused, config, folder / "model.onnx")
        mixes = [self.trained.fusion_weights, *self.trained.presets.values()]
        weights = [np.array([mix.get(source, 0.0) for source in SOURCES], dtype=np.float32) for mix in mixes]
        return prove_hybrid(self.draft.folder, self.fused, weights, self.precision)

    def _write_retrieval(self, folder: Path) -> None:
        beside = PYTHON_MODELS / "fused_search.py", PYTHON_MODELS / "film_index.py", FEATURES / "sources.py"
        _copy(folder, PYTHON_MODELS / "retrieval.py", *beside)
        self.trained.catalog.save(folder / "catalog.json")
        write_histories(folder / "histories.npz", self.dataset.user_ids, self.events, self.dataset.timed)
        write_posters(folder / "posters.zip", self.trained.catalog, self.dataset.poster_paths)
        content = self.trained.content
        # Without a single poster the vectors have no width: zeros for 60,000 films would take half a gigabyte.
        posters = content.poster if content.poster_present.any() else content.poster[:, :0]
        for name, array in {
            "item_vectors": self.fused,
            "popularity": self.trained.popularity,
            "text_vectors": content.text,
            "text_present": content.text_present,
            "poster_vectors": posters,
            "poster_present": content.poster_present,
        }.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        write_index(folder, self.index[0])  # measured on the histories above

    def _write_tokenizer(self, folder: Path) -> None:
        _copy(folder, PYTHON_MODELS / "tokenizer.py", FEATURES / "text.py")
        (folder / "tokenizer.json").write_bytes(self.trained.content.tokenizer_json)

    def _write_image_decoder(self, folder: Path) -> None:
        _copy(folder, PYTHON_MODELS / "image_decoder.py", FEATURES / "posters.py")
        (folder / "settings.json").write_bytes(orjson.dumps({"image_size": self.trained.content.poster_size}))


def _copy(folder: Path, model: Path, *beside: Path) -> None:
    shutil.copyfile(model, folder / "model.py")
    for path in beside:
        shutil.copyfile(path, folder / path.name)


def _write_ensemble(folder: Path) -> None:
    (folder / "ensemble.txt").write_text(ENSEMBLE_NOTE)


def release_facts(trained: Checkpoint, models: dict[str, ModelFacts], options: PublishOptions) -> ReleaseFacts:
    """What release.json says of a release, as far as the training tells."""
    facts, catalog = trained.facts, trained.catalog
    return ReleaseFacts(
        created_at=_now(),
        data=DataFacts(
            facts.name, facts.fingerprint, facts.simulated, facts.people, facts.films, facts.events, facts.hold_out
        ),
        catalog=CatalogFacts(catalog.sha256, len(catalog)),
        models=models,
        fusion=FusionFacts(SOURCES, trained.fusion_weights, trained.presets),
        metrics=trained.metrics,
        coverage=trained.content.coverage(),
        poster_weights=trained.content.poster_weights,
        scorer=trained.metrics["validation"]["reranking"]["default"],
        recipe=Recipe(trained.options_hash, export_hash(options.precision, options.index)),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
