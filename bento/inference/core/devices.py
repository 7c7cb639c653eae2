"""Which accelerators a backend may use on this machine."""

from __future__ import annotations

import ctypes
import os
from functools import cache

from bento.inference.core.errors import LoadFailed
from bento.inference.core.options import ServerOptions


def usable_gpus(backend: str, options: ServerOptions) -> tuple[int, ...]:
    """Ids of the GPUs that this backend can run on; empty = CPU only.

    Raises: LoadFailed when the options demand CUDA and the backend has none.
    """
    if options.device == "cpu" or backend == "ensemble":
        return ()
    gpus = tuple(range(gpu_count())) if supports_cuda(backend) else ()
    if options.device == "cuda" and not gpus:
        raise LoadFailed(f"device 'cuda' is demanded but backend '{backend}' finds no usable GPU on this machine")
    return gpus


@cache
def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


@cache
def gpu_count() -> int:
    """Number of CUDA devices that the driver shows; 0 without driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


@cache
def onnxruntime_providers() -> tuple[str, ...]:
    """Execution providers of this onnxruntime, where there is a GPU with CUDA's libraries in reach."""
    import onnxruntime

    if gpu_count() and hasattr(onnxruntime, "preload_dlls"):
        # Libraries that came as packages are found no other way, and a CUDA provider that is built as a plugin is not
        # even in the list before they are.
        onnxruntime.preload_dlls()
    return tuple(onnxruntime.get_available_providers())


@cache
def supports_cuda(backend: str) -> bool:
    """Whether this backend, as it is installed, can run on the GPUs of this machine."""
    if gpu_count() == 0:
        return False
    if backend == "onnxruntime":
        return "CUDAExecutionProvider" in onnxruntime_providers()
    if backend == "pytorch":
        try:
            import torch
        except ImportError:
            return False  # the backend itself says what is missing
        return torch.cuda.is_available()
    return True  # a python model finds its own way to the GPU
