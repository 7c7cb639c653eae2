"""Configurations are completed and filled in as tritonserver shows them, and refused in its words."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.errors import LoadFailed
from bento.inference.repository.config import (
    complete_names,
    fill_defaults,
    fill_instance_groups,
    parse_override,
    read_config,
    read_labels,
)
from bento.inference.repository.config_validation import validate_instance_groups, validate_scheduling, validate_tensors
from tests.inference.model_folders import write_add_sub, write_identity
from tests.inference.running_servers import StartServer


def parsed(text: str) -> ModelConfig:
    return text_format.Parse(dedent(text), ModelConfig())


def test_a_file_that_is_no_configuration_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(LoadFailed, match=r"failed to read text proto from .*config\.pbtxt"):
        read_config(tmp_path)


def test_a_byte_order_mark_before_a_configuration_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text("max_batch_size: 3", encoding="utf-8-sig")
    assert read_config(tmp_path).max_batch_size == 3
    assert parse_override('\ufeff{"max_batch_size": 3}').max_batch_size == 3


def test_a_byte_order_mark_is_no_part_of_the_first_label(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("drama\ncomedy\n", encoding="utf-8-sig")
    config = parsed('output { name: "Y" label_filename: "labels.txt" }')
    assert read_labels(config, tmp_path) == {"Y": ["drama", "comedy"]}


def test_an_override_is_json_in_protobuf_names() -> None:
    config = parse_override('{"name": "m", "max_batch_size": 3, "input": [{"name": "X", "data_type": "TYPE_FP32"}]}')
    assert (config.name, config.max_batch_size, config.input[0].name) == ("m", 3, "X")


def test_an_override_that_is_no_configuration_is_refused() -> None:
    with pytest.raises(LoadFailed):
        parse_override('{"max_batch_size": "many"}')


@pytest.mark.parametrize(
    ("text", "filename", "expected"),
    [
        ("", "model.onnx", ("onnxruntime", "onnxruntime_onnx", "model.onnx")),
        ("", "model.pt", ("pytorch", "pytorch_libtorch", "model.pt")),
        ("", "model.py", ("python", "", "model.py")),
        ('platform: "onnxruntime_onnx"', "other.onnx", ("onnxruntime", "onnxruntime_onnx", "model.onnx")),
        ('platform: "pytorch_libtorch"', "model.pt", ("pytorch", "pytorch_libtorch", "model.pt")),
        ('default_model_filename: "model.py"', "model.onnx", ("python", "", "model.py")),
        ('backend: "python"', "model.onnx", ("python", "", "model.py")),
    ],
)  # fmt: skip
def test_one_of_backend_platform_and_file_tells_the_others(
    tmp_path: Path, text: str, filename: str, expected: tuple[str, str, str]
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / filename).touch()
    config = parsed(text)
    complete_names(config, "m", [tmp_path / "1"])
    assert (config.backend, config.platform, config.default_model_filename) == expected


def test_a_folder_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="Could not determine backend for model 'm'"):
        complete_names(ModelConfig(), "m", [])


def test_defaults_are_those_that_triton_shows() -> None:
    config = parsed('name: "m" backend: "python" max_batch_size: 8 dynamic_batching { }')
    fill_defaults(config)
    assert config == parsed("""
        name: "m" backend: "python" max_batch_size: 8
        version_policy { latest { num_versions: 1 } }
        dynamic_batching { preferred_batch_size: 8 }
        optimization { input_pinned_memory { enable: true } output_pinned_memory { enable: true } }
    """)


@pytest.mark.parametrize(
    ("text", "gpus", "expected"),
    [
        ('name: "m" backend: "python"', (), ["m KIND_CPU 1 []"]),
        ('name: "m" backend: "onnxruntime"', (), ["m KIND_CPU 2 []"]),
        ('name: "m" backend: "onnxruntime"', (0, 1), ["m KIND_GPU 1 [0, 1]"]),
        ('name: "m" instance_group [{ count: 3 kind: KIND_CPU }, { kind: KIND_MODEL }]', (0,),
         ["m_0 KIND_CPU 3 []", "m_1 KIND_MODEL 1 []"]),
        ('name: "m" instance_group [{ kind: KIND_AUTO gpus: [ 5 ] }]', (0,), ["m_0 KIND_CPU 1 [5]"]),
    ],
)  # fmt: skip
def test_instance_groups_are_resolved(text: str, gpus: tuple[int, ...], expected: list[str]) -> None:
    config = parsed(text)
    fill_instance_groups(config, gpus)
    kinds = type(config.instance_group[0]).Kind
    shown = [f"{g.name} {kinds.Name(g.kind)} {g.count} {list(g.gpus)}" for g in config.instance_group]
    assert shown == expected


def test_a_gpu_that_is_not_there_is_refused() -> None:
    config = parsed('name: "m" instance_group [{ name: "g" kind: KIND_GPU }]')
    with pytest.raises(LoadFailed, match="instance group g of model m has kind KIND_GPU but no GPUs are available"):
        validate_instance_groups(config, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: -1", "'max_batch_size' must be non-negative value for m"),
        ("max_batch_size: 4 dynamic_batching { preferred_batch_size: [ 8 ] }",
         "dynamic batching preferred size must be <= max batch size for m"),
        ("max_batch_size: 4 dynamic_batching { preferred_batch_size: [ 0 ] }",
         "dynamic batching preferred size must be positive for m"),
        ("dynamic_batching { priority_levels: 2 default_priority_level: 3 }",
         "default priority level must be in range [1, 2] for m"),
        ("dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }",
         "Only one priority level is allowed when 'preserve_ordering' is true for m"),
        ("model_transaction_policy { decoupled: true } response_cache { enable: true }",
         "Response Cache does not currently support model m with 'decoupled' transaction policy. Please disable the "
         "response cache."),
    ],
)  # fmt: skip
def test_scheduling_that_cannot_be_is_refused(text: str, message: str) -> None:
    config = parsed(f'name: "m" backend: "python" {text}')
    with pytest.raises(LoadFailed) as caught:
        validate_scheduling(config)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('input [{ data_type: TYPE_FP32 dims: [ 1 ] }]', "model input must specify 'name' for m"),
        ('input [{ name: "X" dims: [ 1 ] }]', "model input 'X' must specify 'data_type' for m"),
        ('output [{ name: "Y" data_type: TYPE_FP32 }]', "model output 'Y' must specify 'dims' for m"),
        ('input [{ name: "X" data_type: TYPE_FP32 dims: [ 0 ] }]',
         "model input 'X' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m"),
        ('input [{ name: "X" data_type: TYPE_FP32 dims: [ 4 ] reshape: { shape: [ 3 ] } }]',
         "model input 'X' has different size for dims and reshape for m"),
        ('input [{ name: "X" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } }]',
         "model input 'X' cannot have empty reshape for non-batching model as scalar tensors are not supported for m"),
    ],
)  # fmt: skip
def test_tensors_that_cannot_be_are_refused(text: str, message: str) -> None:
    with pytest.raises(LoadFailed) as caught:
        validate_tensors(parsed(f'name: "m" {text}'))
    assert str(caught.value) == message


async def test_an_onnx_file_alone_gives_a_batching_model(repository: Path, start_server: StartServer) -> None:
    write_add_sub(repository)
    config = (await start_server()).model_config("simple")
    assert config == parsed("""
        name: "simple" platform: "onnxruntime_onnx" backend: "onnxruntime" default_model_filename: "model.onnx"
        version_policy { latest { num_versions: 1 } }
        max_batch_size: 4
        dynamic_batching { preferred_batch_size: 4 }
        input [{ name: "INPUT0" data_type: TYPE_INT32 dims: 16 }, { name: "INPUT1" data_type: TYPE_INT32 dims: 16 }]
        output [{ name: "OUTPUT0" data_type: TYPE_INT32 dims: 16 }, { name: "OUTPUT1" data_type: TYPE_INT32 dims: 16 }]
        optimization { input_pinned_memory { enable: true } output_pinned_memory { enable: true } }
        instance_group { name: "simple" kind: KIND_CPU count: 2 }
    """)


async def test_an_onnx_file_with_a_fixed_first_axis_does_not_batch(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "fixed", shape=[2, "length"])
    config = (await start_server()).model_config("fixed")
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [2, -1]


async def test_a_configured_batch_size_is_kept_when_the_rest_is_completed(
    repository: Path, start_server: StartServer
) -> None:
    write_add_sub(repository, config="max_batch_size: 16")
    config = (await start_server()).model_config("simple")
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [16]


async def test_a_scalar_per_row_becomes_a_reshaped_tensor(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "scalar", shape=["batch"])
    config = (await start_server()).model_config("scalar")
    assert list(config.input[0].dims) == [1]
    assert config.input[0].HasField("reshape")
    assert list(config.input[0].reshape.shape) == []
