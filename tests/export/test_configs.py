"""The committed config.pbtxt files: they parse, agree with features.sources and with one another, as Triton demands."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc.model_config_pb2 import DataType, ModelInstanceGroup

from export.layout import (
    COMMITTED_REPOSITORY,
    HYBRID,
    MODELS,
    SCORERS,
    TORCHSCRIPT_TOWER,
    USER_ENCODERS,
    backend_of,
    read_config,
)
from features.history import HISTORY_LENGTH
from features.sources import (
    FUSED_WIDTH,
    FUSION_INPUTS,
    NEIGHBOUR_SOURCE,
    NEIGHBOUR_WEIGHT,
    SOURCE_WIDTHS,
    SOURCES,
    encoders,
)
from tests.export.tiny_world import TinyWorld

CONFIGS = {model: read_config(COMMITTED_REPOSITORY, model) for model in MODELS}
ENSEMBLES = [model for model, config in CONFIGS.items() if config.HasField("ensemble_scheduling")]


def tensors(part: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {tensor.name: (DataType.Name(tensor.data_type).removeprefix("TYPE_"), tuple(tensor.dims)) for tensor in part}


def test_every_folder_of_the_repository_is_a_model_of_the_release() -> None:
    assert {path.parent.name for path in COMMITTED_REPOSITORY.glob("*/config.pbtxt")} == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_configuration_says_what_the_model_does_and_is_called(model: str) -> None:
    first_line = (COMMITTED_REPOSITORY / model / "config.pbtxt").read_text().splitlines()[0]
    assert first_line.startswith("# ")
    assert first_line.endswith((".", ";", ":")) or len(first_line) > 40
    assert CONFIGS[model].name == model


@pytest.mark.parametrize("model", MODELS)
def test_models_are_batched_and_serve_the_latest_version(model: str) -> None:
    config = CONFIGS[model]
    assert config.version_policy.latest.num_versions == 1
    assert config.max_batch_size >= 16
    if model in ENSEMBLES:
        return  # their steps batch
    sizes = list(config.dynamic_batching.preferred_batch_size)
    assert sizes == sorted(sizes)
    assert all(0 < size <= config.max_batch_size for size in sizes)
    assert bool(sizes) != (model == HYBRID)  # it computes whoever waits, together
    assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
    assert [group.kind for group in config.instance_group] in (
        [ModelInstanceGroup.KIND_AUTO], [ModelInstanceGroup.KIND_CPU],
    )  # fmt: skip


@pytest.mark.parametrize("model", [*USER_ENCODERS, "user_tower_torchscript"])
def test_user_encoders_read_a_history(model: str) -> None:
    assert tensors(CONFIGS[model].input) == {
        "history": ("INT64", (HISTORY_LENGTH,)),
        "ratings": ("FP32", (HISTORY_LENGTH,)),
        "age_days": ("FP32", (HISTORY_LENGTH,)),
    }


@pytest.mark.parametrize("model", encoders())
def test_encoders_give_a_vector_for_each_of_their_sources(model: str) -> None:
    expected = {output: ("FP32", (SOURCE_WIDTHS[source],)) for output, source in encoders()[model].items()}
    assert tensors(CONFIGS[model].output) == expected


def test_the_torchscript_tower_stands_in_for_the_user_tower() -> None:
    assert tensors(CONFIGS[TORCHSCRIPT_TOWER].output) == tensors(CONFIGS["user_tower"].output)


def test_networks_give_their_outputs_in_the_order_of_the_table(world: TinyWorld) -> None:
    outputs = {model: world.trained.encoders[model].output_names for model in encoders()}
    assert outputs == {model: tuple(sources) for model, sources in encoders().items()}


def test_fusion_joins_every_source() -> None:
    vectors = {FUSION_INPUTS[source]: ("FP32", (SOURCE_WIDTHS[source],)) for source in FUSION_INPUTS}
    assert tensors(CONFIGS["fusion"].input) == {**vectors, "weights": ("FP32", (len(SOURCES),))}
    assert tensors(CONFIGS["fusion"].output) == {
        "query": ("FP32", (FUSED_WIDTH,)),
        NEIGHBOUR_WEIGHT: ("FP32", (1,)),
    }


def test_the_ensemble_brings_every_source_to_fusion_and_retrieval() -> None:
    steps = {step.model_name: step for step in CONFIGS["hybrid_candidates"].ensemble_scheduling.step}
    assert steps.keys() == {*USER_ENCODERS, "fusion", "retrieval"}
    brought = {
        source: steps[model].output_map[output]
        for model, outputs in encoders().items()
        for output, source in outputs.items()
    }
    assert brought == {source: steps["fusion"].input_map[tensor] for source, tensor in FUSION_INPUTS.items()}
    neighbours, retrieval = steps[NEIGHBOUR_SOURCE].output_map, steps["retrieval"].input_map
    assert neighbours["candidate_rows"] == retrieval["extra_rows"]
    assert neighbours["candidate_scores"] == retrieval["extra_scores"]
    assert steps["fusion"].output_map[NEIGHBOUR_WEIGHT] == retrieval["extra_weight"]


def test_hybrid_reads_and_answers_what_its_models_do() -> None:
    read, given = tensors(CONFIGS[HYBRID].input), tensors(CONFIGS[HYBRID].output)
    ensemble = CONFIGS["hybrid_candidates"]
    assert tensors(ensemble.input).items() <= read.items()
    assert tensors(ensemble.output).items() <= given.items()
    assert given["used"] == ("BOOL", (len(SOURCES),))
    assert given["query"] == tensors(CONFIGS["fusion"].output)["query"]


def test_new_films_get_a_vector_of_the_fused_space() -> None:
    assert tensors(CONFIGS["new_film_tower"].output) == {"item_vector": ("FP32", (FUSED_WIDTH,))}


def test_scorers_take_each_others_place_and_what_retrieval_returns() -> None:
    dot, mlp = (CONFIGS[model] for model in SCORERS)
    assert tensors(dot.input) == tensors(mlp.input)
    assert tensors(dot.output) == tensors(mlp.output) == {"scores": ("FP32", (-1,))}
    found = tensors(CONFIGS["retrieval"].output)
    assert tensors(mlp.input) == {
        **tensors(CONFIGS["ease"].input),
        "candidate_rows": found["rows"],
        "contributions": found["contributions"],
        "weights": tensors(CONFIGS["fusion"].input)["weights"],
    }


def test_retrieval_searches_the_fused_space() -> None:
    config = CONFIGS["retrieval"]
    assert tensors(config.input)["query"] == ("FP32", (FUSED_WIDTH,))
    assert tensors(config.output)["contributions"] == ("FP32", (-1, len(SOURCES)))
    assert {tensor.name for tensor in config.input if tensor.optional} == {"allowed_rows", "excluded_rows"}
    # Requests of different lengths would never share a batch otherwise.
    assert {t.name for t in config.input if -1 in t.dims} == {t.name for t in config.input if t.allow_ragged_batch}


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_ensemble_tensors_fit_together(ensemble: str) -> None:
    """The rules of Triton's ensemble validation: types and dimensions agree, everything is fed and produced once."""
    config = CONFIGS[ensemble]
    known = tensors(config.input)
    for step in config.ensemble_scheduling.step:
        part = CONFIGS[step.model_name]
        assert part.max_batch_size >= config.max_batch_size
        inputs, outputs = tensors(part.input), tensors(part.output)
        required = {tensor.name for tensor in part.input if not tensor.optional}
        assert required <= set(step.input_map) <= set(inputs)
        for name, value in step.input_map.items():
            assert known[value] == inputs[name]
        for name, value in step.output_map.items():
            assert value not in known, f"{value} is produced twice"
            known[value] = outputs[name]
    for name, kind in tensors(config.output).items():
        assert known[name] == kind


@pytest.mark.parametrize("model", MODELS)
def test_warm_up_feeds_every_input(model: str) -> None:
    config = CONFIGS[model]
    for sample in config.model_warmup:
        fed = {name: (value.data_type, len(value.dims)) for name, value in sample.inputs.items()}
        assert fed == {tensor.name: (tensor.data_type, len(tensor.dims)) for tensor in config.input}
        for tensor in config.input:
            lengths = zip(sample.inputs[tensor.name].dims, tensor.dims, strict=True)
            assert all(length == configured or configured == -1 for length, configured in lengths)


def test_backends_are_those_of_the_architecture() -> None:
    assert {backend_of(config) for config in CONFIGS.values()} == {"onnxruntime", "pytorch", "python", "ensemble"}
