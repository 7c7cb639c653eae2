"""Runs a network over many independent batches on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch


def run_batches(encode: Callable[[int], int], starts: Iterable[int], device: torch.device) -> Iterator[int]:
    """Call `encode` with every start; yields its results in the order of the starts.

    On the CPU as many batches run at once as torch has threads, each on a single one; elsewhere one after another.
    Splitting every small matrix product over the cores instead waits for the slowest core thousands of times: with
    other work on both cores, encoding 9,742 film texts took 285 s that way and 38 s this way.
    """
    if device.type != "cpu":
        yield from map(encode, starts)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(encode, starts)
    finally:
        torch.set_num_threads(threads)
