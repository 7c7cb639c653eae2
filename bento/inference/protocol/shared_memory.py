"""System shared memory: regions of /dev/shm that clients register, to read inputs from and write outputs to.

A region is opened once, when it is registered, and stays mapped until it is unregistered. CUDA regions are not
offered. Wording and statuses are tritonserver's.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import stat
from dataclasses import dataclass

from bento.inference.core.errors import InferenceError, InvalidRequest, Unsupported
from bento.inference.protocol.tensor_bytes import Buffer

SHARED_MEMORY_FOLDER = "/dev/shm"
"""Where shm_open(3) keeps its objects on Linux."""

_RESERVED_PREFIX = "triton_python_backend_shm_region_"
"""Regions through which tritonserver talks to its own Python models; newer versions refuse them too."""


class UnknownRegion(InferenceError):
    """No region of that name is registered."""

    http_status = 404
    grpc_status = "NOT_FOUND"


class RegionExists(InferenceError):
    """A region of that name is registered already."""

    http_status = 400
    grpc_status = "ALREADY_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"shared memory region '{name}' already in manager")


class RegionUnusable(InferenceError):
    """The region cannot be opened, or cannot be unregistered while requests use it."""


@dataclass(frozen=True, slots=True)
class Region:
    """One registered region: `byte_size` bytes from `offset` of the object `key`."""

    name: str
    key: str
    offset: int
    byte_size: int
    mapping: mmap.mmap | None
    """The object from its start to the end of the region; None for a region of 0 bytes."""

    def status(self) -> dict[str, str | int]:
        """As the status endpoints show it."""
        return {"name": self.name, "key": self.key, "offset": self.offset, "byte_size": self.byte_size}


_LETTING_GO_S, _LOOKS = 0.1, 20
"""How long and how often to look whether a region is still in use."""


class SharedMemoryRegistry:
    """The regions of one server."""

    def __init__(self, *, allowed: bool = True) -> None:
        """`allowed`: whether clients may register any."""
        self._allowed = allowed
        self._regions: dict[str, Region] = {}

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open and map a region.

        Raises: Unsupported where clients may not; RegionExists; RegionUnusable when there is no such object;
        InvalidRequest when it is smaller.
        """
        if not self._allowed:
            raise Unsupported("shared memory of clients is not allowed here (--allow-client-shm=false)")
        if name in self._regions:
            raise RegionExists(name)
        self._regions[name] = Region(name, key, offset, byte_size, _map(name, key, offset, byte_size))

    def unregister(self, name: str) -> None:
        """Let a region go; an unknown name is not an error. Raises: RegionUnusable while a request uses it."""
        region = self._regions.get(name)
        if region is None:
            return
        if region.mapping is not None:
            try:
                region.mapping.close()
            except BufferError as error:  # arrays of requests in flight still look into it
                text = f"Cannot unregister shared memory region '{name}', it is currently in use."
                raise RegionUnusable(text) from error
        del self._regions[name]

    async def release(self, name: str = "") -> None:
        """Unregister a region, or all of them, as soon as the requests that use it are answered.

        An instance's thread may hold a request for some microseconds longer than it takes its client to hear the answer
        and to call again. Raises: RegionUnusable when requests still use a region after `_LETTING_GO_S`.
        """
        for _ in range(_LOOKS):
            try:
                return self.unregister(name) if name else self.unregister_all()
            except RegionUnusable:
                await asyncio.sleep(_LETTING_GO_S / _LOOKS)
        return self.unregister(name) if name else self.unregister_all()

    def unregister_all(self) -> None:
        """Let every region go. Raises: RegionUnusable naming those in use; the others are gone."""
        in_use = []
        for name in tuple(self._regions):
            try:
                self.unregister(name)
            except RegionUnusable:
                in_use.append(f"{name} ,")
        if in_use:
            text = f"Failed to unregister the following system shared memory regions: {''.join(in_use)}"
            raise RegionUnusable(text)

    def status(self, name: str = "") -> list[dict[str, str | int]]:
        """All regions by name, or the one asked for. Raises: UnknownRegion."""
        if not name:
            return [self._regions[known].status() for known in sorted(self._regions)]
        if name not in self._regions:
            raise UnknownRegion(f"Unable to find system shared memory region: '{name}'")
        return [self._regions[name].status()]

    def view(self, name: str, offset: int, byte_size: int) -> memoryview:
        """`byte_size` writable bytes from `offset` of a region. The region cannot go while the view lives.

        Raises: UnknownRegion; InvalidRequest when the part reaches beyond the region, or the object was truncated.
        """
        region = self._regions.get(name)
        if region is None:
            raise UnknownRegion(f"Unable to find shared memory region: '{name}'")
        if not 0 <= offset <= max(region.byte_size - 1, 0):
            raise InvalidRequest(f"Invalid offset for shared memory region: '{name}'")
        if not 0 <= byte_size <= region.byte_size - offset:
            raise InvalidRequest(f"Invalid offset + byte size for shared memory region: '{name}'")
        if region.mapping is None:
            return memoryview(b"")
        start = region.offset + offset
        if region.mapping.size() < start + byte_size:  # touching what was cut off would kill the process
            raise InvalidRequest(f"Invalid offset + byte size for shared memory region: '{name}'")
        return memoryview(region.mapping)[start : start + byte_size]


def write_output(view: memoryview, output: str, data: Buffer) -> None:
    """Copy an output into its place. Raises: RegionUnusable when the place is too small."""
    if len(data) > len(view):
        raise RegionUnusable(
            f"shared memory size specified with the request for output '{output}' ({len(view)} bytes) should be at "
            f"least {len(data)} bytes to hold the results"
        )
    view[: len(data)] = data


def _map(name: str, key: str, offset: int, byte_size: int) -> mmap.mmap | None:
    descriptor = _open(key)
    try:
        if offset + byte_size > os.fstat(descriptor).st_size:
            raise InvalidRequest(f"failed to register shared memory region '{name}': invalid args")
        # Mapped from the object's start, because an offset need not be a multiple of the page size.
        return mmap.mmap(descriptor, offset + byte_size) if byte_size else None
    finally:
        os.close(descriptor)


def _open(key: str) -> int:
    """Descriptor of a shared-memory object, never of any other file. Raises: RegionUnusable."""
    unusable = RegionUnusable(f"Unable to open shared memory region: '{key}'")
    object_name = key.removeprefix("/")
    if object_name in ("", ".", "..") or "/" in object_name or "\0" in object_name:
        raise unusable
    if object_name.startswith(_RESERVED_PREFIX):
        raise unusable
    try:
        path = os.path.join(SHARED_MEMORY_FOLDER, object_name)
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise unusable from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise unusable
    return descriptor
