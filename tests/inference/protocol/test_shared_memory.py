"""The registry of shared memory regions: what may be mapped, which parts may be looked at, and when it may go."""

import asyncio
import os
import uuid
from multiprocessing import shared_memory

import numpy as np
import pytest

from bento.inference.core.errors import InvalidRequest
from bento.inference.protocol.shared_memory import (
    SHARED_MEMORY_FOLDER,
    RegionExists,
    RegionUnusable,
    SharedMemoryRegistry,
    UnknownRegion,
    write_output,
)


@pytest.fixture
def memory():
    memory = shared_memory.SharedMemory(f"marquee-{uuid.uuid4().hex}", create=True, size=100)
    yield memory
    memory.close()
    memory.unlink()


@pytest.fixture
def registry():
    registry = SharedMemoryRegistry()
    yield registry
    registry.unregister_all()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_region_shows_what_others_write(registry, memory, slash):
    registry.register("r", slash + memory.name, 10, 20)
    memory.buf[15] = 7
    assert registry.view("r", 5, 1)[0] == 7


def test_what_is_written_to_a_view_is_seen_by_others(registry, memory):
    registry.register("r", memory.name, 10, 20)
    write_output(registry.view("r", 2, 5), "scores", b"abc")
    assert bytes(memory.buf[12:15]) == b"abc"


def test_regions_of_one_object_are_independent(registry, memory):
    registry.register("a", memory.name, 0, 10)
    registry.register("b", memory.name, 5, 10)
    registry.unregister("a")
    memory.buf[5] = 9
    assert registry.view("b", 0, 1)[0] == 9


@pytest.mark.parametrize(
    ("offset", "byte_size", "text"),
    [
        (20, 0, "Invalid offset for shared memory region: 'r'"),
        (-1, 1, "Invalid offset for shared memory region: 'r'"),
        (0, 21, r"Invalid offset \+ byte size for shared memory region: 'r'"),
        (19, 2, r"Invalid offset \+ byte size for shared memory region: 'r'"),
        (0, -1, r"Invalid offset \+ byte size for shared memory region: 'r'"),
    ],
)
def test_a_view_stays_within_its_region(registry, memory, offset, byte_size, text):
    registry.register("r", memory.name, 10, 20)
    with pytest.raises(InvalidRequest, match=text):
        registry.view("r", offset, byte_size)


def test_an_object_that_was_cut_is_not_touched(registry, memory):
    registry.register("r", memory.name, 0, 100)
    os.truncate(f"{SHARED_MEMORY_FOLDER}/{memory.name}", 50)
    assert len(registry.view("r", 0, 50)) == 50
    with pytest.raises(InvalidRequest, match="Invalid offset"):
        registry.view("r", 0, 51)


def test_an_output_that_is_too_large_is_refused(registry, memory):
    registry.register("r", memory.name, 0, 10)
    with pytest.raises(RegionUnusable, match=r"for output 'scores' \(10 bytes\) should be at least 11 bytes"):
        write_output(registry.view("r", 0, 10), "scores", bytes(11))


def test_a_region_cannot_go_while_a_request_looks_into_it(registry, memory):
    registry.register("r", memory.name, 0, 16)
    tensor = np.frombuffer(registry.view("r", 0, 16), np.float32)
    with pytest.raises(RegionUnusable, match="Cannot unregister shared memory region 'r', it is currently in use"):
        registry.unregister("r")
    with pytest.raises(RegionUnusable, match="Failed to unregister the following system shared memory regions: r ,"):
        registry.unregister_all()
    assert tensor.shape == (4,)
    del tensor
    registry.unregister("r")
    with pytest.raises(UnknownRegion, match="Unable to find shared memory region: 'r'"):
        registry.view("r", 0, 1)


@pytest.mark.parametrize("name", ["r", ""])
async def test_a_region_goes_as_soon_as_the_last_request_has_let_go_of_it(registry, memory, name):
    registry.register("r", memory.name, 0, 16)
    views = [registry.view("r", 0, 16)]
    asyncio.get_running_loop().call_soon(views.clear)
    await registry.release(name)
    assert registry.status() == []
    await registry.release(name)


@pytest.mark.parametrize("name", ["r", ""])
async def test_a_region_that_stays_in_use_is_not_let_go(registry, memory, name):
    registry.register("r", memory.name, 0, 16)
    view = registry.view("r", 0, 16)
    with pytest.raises(RegionUnusable):
        await registry.release(name)
    assert len(view) == 16
    assert len(registry.status()) == 1


def test_a_name_is_registered_once(registry, memory):
    registry.register("r", memory.name, 0, 16)
    with pytest.raises(RegionExists, match="shared memory region 'r' already in manager"):
        registry.register("r", memory.name, 0, 16)


def test_a_region_lies_within_its_object(registry, memory):
    with pytest.raises(InvalidRequest, match="failed to register shared memory region 'r': invalid args"):
        registry.register("r", memory.name, 50, 51)


def test_letting_an_unknown_region_go_is_no_error(registry):
    registry.unregister("nope")


def test_a_region_of_no_bytes_is_empty(registry, memory):
    registry.register("r", memory.name, 0, 0)
    assert len(registry.view("r", 0, 0)) == 0


@pytest.mark.parametrize(
    "key",
    ["", "/", ".", "..", "../etc/passwd", "a/b", "//x", "nope-nope", "a\0b", "triton_python_backend_shm_region_1"],
)
def test_only_shared_memory_objects_can_be_opened(registry, key):
    with pytest.raises(RegionUnusable, match="Unable to open shared memory region"):
        registry.register("r", key, 0, 1)


def test_links_and_folders_are_not_shared_memory(registry, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    link = f"{SHARED_MEMORY_FOLDER}/marquee-link-{uuid.uuid4().hex}"
    folder = f"{SHARED_MEMORY_FOLDER}/marquee-folder-{uuid.uuid4().hex}"
    os.symlink(secret, link)
    os.mkdir(folder)
    try:
        for path in (link, folder):
            with pytest.raises(RegionUnusable):
                registry.register("r", os.path.basename(path), 0, 1)
    finally:
        os.unlink(link)
        os.rmdir(folder)
