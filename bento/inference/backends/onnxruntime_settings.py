"""Triton's settings of an ONNX model, as onnxruntime's session options and execution providers."""

from __future__ import annotations

import onnxruntime
import structlog
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.devices import cores, onnxruntime_providers
from bento.inference.core.errors import LoadFailed
from bento.inference.core.options import ServerOptions

log = structlog.get_logger()

# Errors alone: the GPU build warns at every load that its CUDA provider is no plugin, which it is not meant to be.
onnxruntime.set_default_logger_severity(3)

_GRAPH_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_DEVICE_ALLOCATOR = "session.use_device_allocator_for_initializers"
_CUDA_PARAMETERS = ("cudnn_conv_algo_search", "gpu_mem_limit", "arena_extend_strategy", "do_copy_in_default_stream")
_CONV_SEARCH = {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"}
_DEFAULT_CONV_SEARCH = "HEURISTIC"
"""onnxruntime's own, EXHAUSTIVE, times every algorithm again for each new batch size, and batches come in all sizes."""
_EXTEND_STRATEGY = {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"}
_TENSORRT_PRECISION = {"FP16": "trt_fp16_enable", "BF16": "trt_bf16_enable", "INT8": "trt_int8_enable"}
_TENSORRT_RENAMED = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}


def session_options(config: ModelConfig, options: ServerOptions) -> onnxruntime.SessionOptions:
    """Session options of a model.

    Raises: LoadFailed when a parameter has a value that it cannot have.
    """
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    session = onnxruntime.SessionOptions()
    session.log_severity_level = 3  # errors; warnings about graphs are of no use while serving
    session.graph_optimization_level = _GRAPH_LEVELS.get(
        config.optimization.graph.level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    execution_mode = _integer(parameters, "execution_mode")
    if execution_mode not in (0, 1):
        raise LoadFailed(
            "Invalid configuration value provided. Expected values for  execution_mode are 0 or 1 but got "
            f"{execution_mode} ."
        )
    session.execution_mode = onnxruntime.ExecutionMode(execution_mode)
    session.intra_op_num_threads = (
        _integer(parameters, "intra_op_thread_count") or options.intra_op_threads or _default_threads()
    )
    session.inter_op_num_threads = _integer(parameters, "inter_op_thread_count")
    # Idle threads that spin would take the cores from the other models and from the event loop.
    session.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if _DEVICE_ALLOCATOR in parameters:
        session.add_session_config_entry(_DEVICE_ALLOCATOR, parameters[_DEVICE_ALLOCATOR])
    session.enable_cpu_mem_arena = _boolean(parameters, "enable_mem_arena", default=True)
    session.enable_mem_pattern = _boolean(parameters, "enable_mem_pattern", default=True)
    return session


def providers(config: ModelConfig, gpu: int | None) -> list[tuple[str, dict[str, str]]]:
    """Execution providers in order of preference; `gpu` None is the CPU.

    Accelerators that this onnxruntime was built without are left out, with one line in the log.
    Raises: LoadFailed for an unknown accelerator.
    """
    accelerators = config.optimization.execution_accelerators
    chosen: list[tuple[str, dict[str, str]]] = []
    if gpu is None:
        for accelerator in accelerators.cpu_execution_accelerator:
            if accelerator.name != "openvino":
                raise LoadFailed(
                    f"unknown Execution Accelerator '{accelerator.name}' is requested for model '{config.name}'"
                )
            chosen.append(("OpenVINOExecutionProvider", dict(accelerator.parameters)))
    else:
        cuda = {key: config.parameters[key].string_value for key in _CUDA_PARAMETERS if key in config.parameters}
        for accelerator in accelerators.gpu_execution_accelerator:
            if accelerator.name == "tensorrt":
                chosen.append(("TensorrtExecutionProvider", _tensorrt(dict(accelerator.parameters), gpu)))
            elif accelerator.name == "cuda":
                cuda.update(accelerator.parameters)
            else:
                raise LoadFailed(
                    f"unknown Execution Accelerator '{accelerator.name}' is requested for model '{config.name}'"
                )
        chosen.append(("CUDAExecutionProvider", _cuda(cuda, gpu)))
    available = onnxruntime_providers()
    for name, _ in chosen:
        if name not in available:
            log.warning("execution provider is not in this onnxruntime, left out", model=config.name, provider=name)
    return [*((name, values) for name, values in chosen if name in available), ("CPUExecutionProvider", {})]


def _cuda(parameters: dict[str, str], gpu: int) -> dict[str, str]:
    options = {"device_id": str(gpu), "cudnn_conv_algo_search": _DEFAULT_CONV_SEARCH, **parameters}
    _refuse_graphs(options, "enable_cuda_graph")
    options["cudnn_conv_algo_search"] = _CONV_SEARCH.get(
        options["cudnn_conv_algo_search"], options["cudnn_conv_algo_search"]
    )
    if "arena_extend_strategy" in options:
        options["arena_extend_strategy"] = _EXTEND_STRATEGY.get(
            options["arena_extend_strategy"], options["arena_extend_strategy"]
        )
    return options


def _tensorrt(parameters: dict[str, str], gpu: int) -> dict[str, str]:
    options = {"device_id": str(gpu)}
    for key, value in parameters.items():
        if key == "precision_mode":
            if value in _TENSORRT_PRECISION:
                options[_TENSORRT_PRECISION[value]] = "1"
            elif value != "FP32":
                raise LoadFailed(f"unsupported precision mode '{value}' is requested")
        else:
            options[_TENSORRT_RENAMED.get(key, key)] = value
    _refuse_graphs(options, "trt_cuda_graph_enable")
    return options


def _refuse_graphs(options: dict[str, str], key: str) -> None:
    """A captured graph reads and writes the memory of the request that it was captured with, also for later requests.

    Raises: LoadFailed.
    """
    if options.get(key, "0").lower() in ("1", "true"):
        raise LoadFailed(f"{key} is not supported: inputs and outputs lie elsewhere for every request; leave it out")


def _default_threads() -> int:
    """Threads of one operator: one where few cores are shared by many models, a quarter of many cores."""
    return max(1, cores() // 4)


def _integer(parameters: dict[str, str], key: str) -> int:
    text = parameters.get(key, "0")
    try:
        return int(text)
    except ValueError:
        raise LoadFailed(f"failed to convert {key} '{text}' to integral number") from None


def _boolean(parameters: dict[str, str], key: str, *, default: bool) -> bool:
    text = parameters.get(key)
    if text is None:
        return default
    if text.lower() not in ("true", "1", "false", "0"):
        raise LoadFailed(f"failed to convert {key} '{text}' to boolean value")
    return text.lower() in ("true", "1")
