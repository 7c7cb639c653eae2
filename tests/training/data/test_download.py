"""The downloader, against a server on this machine that can misbehave in every way that we claim to survive."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training.data.download import DATASETS, download
from training.data.errors import ChecksumMismatch, TransferFailed, UnknownDownload


def make_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t1\t5\t100\n" * 20_000)
    return stream.getvalue()


@dataclass
class Mirror:
    """What the server holds, how it misbehaves, and what it was asked."""

    content: bytes = field(default_factory=make_zip)
    md5: str | None = ""
    """Body of the .md5 file; None = there is none; empty = the right one."""
    etag: str = '"v1"'
    cut_after: int | None = None
    """Close the connection after so many bytes."""
    status: int = 200
    refuses_ranges: bool = False
    base_url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of each request for the zip."""

    def md5_file(self) -> str | None:
        right = f"MD5 (ml-100k.zip) = {hashlib.md5(self.content).hexdigest()}\n"
        return right if self.md5 == "" else self.md5


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            if self.path.endswith(".md5"):
                body = state.md5_file()
                self.answer(404 if body is None else 200, (body or "").encode())
                return
            wanted = self.headers.get("Range")
            state.ranges.append(wanted)
            if state.status != 200:
                self.answer(state.status, b"")
            elif wanted and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                self.answer(416 if state.refuses_ranges else 206, state.content[start:])
            else:
                self.answer(200, state.content)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(body if self.path.endswith(".md5") else body[: state.cut_after])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.base_url = f"http://127.0.0.1:{server.server_port}/movielens/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def fetch_broken(mirror: Mirror, folder: Path, cut_after: int) -> None:
    """Let a transfer break off after so many bytes."""
    mirror.cut_after = cut_after
    with pytest.raises(TransferFailed):
        download("ml-100k", folder, mirror.base_url)
    mirror.cut_after = None


def test_a_data_set_is_fetched_and_checked(mirror: Mirror, tmp_path: Path) -> None:
    reported: list[tuple[int, int | None]] = []
    found = download("ml-100k", tmp_path / "data", mirror.base_url, lambda done, total: reported.append((done, total)))
    assert found.path == tmp_path / "data" / "ml-100k.zip"
    assert found.path.read_bytes() == mirror.content
    assert found.md5 == hashlib.md5(mirror.content).hexdigest()
    assert found.fetched_bytes == len(mirror.content)
    assert reported[-1] == (len(mirror.content), len(mirror.content))
    assert [path.name for path in found.path.parent.iterdir()] == ["ml-100k.zip"]


def test_a_zip_that_is_there_is_not_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    download("ml-100k", tmp_path, mirror.base_url)
    assert download("ml-100k", tmp_path, mirror.base_url).fetched_bytes == 0
    assert len(mirror.ranges) == 1


def test_a_wrong_checksum_is_refused_and_the_file_removed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.md5 = "0" * 32 + "  ml-100k.zip"
    actual = hashlib.md5(mirror.content).hexdigest()
    with pytest.raises(ChecksumMismatch, match=f"md5 is {actual}, published is {'0' * 32}"):
        download("ml-100k", tmp_path, mirror.base_url)
    assert list(tmp_path.iterdir()) == []


def test_without_a_published_checksum_the_zip_itself_is_checked(mirror: Mirror, tmp_path: Path) -> None:
    mirror.md5 = None
    assert download("ml-100k", tmp_path, mirror.base_url).md5 is None


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_without_a_published_checksum_a_damaged_zip_is_refused(mirror: Mirror, tmp_path: Path, damage: str) -> None:
    mirror.md5 = None
    middle = len(mirror.content) // 2
    flipped = mirror.content[:middle] + bytes([mirror.content[middle] ^ 1]) + mirror.content[middle + 1 :]
    mirror.content = mirror.content[:middle] if damage == "cut" else flipped
    with pytest.raises(TransferFailed, match="not a whole zip file"):
        download("ml-100k", tmp_path, mirror.base_url)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_transfer_says_so_and_leaves_no_zip(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_after = 1000
    with pytest.raises(TransferFailed, match=r"could not fetch http.*ml-100k\.zip: .* 1,000 bytes are kept"):
        download("ml-100k", tmp_path, mirror.base_url)
    assert not (tmp_path / "ml-100k.zip").exists()


def test_a_broken_transfer_is_continued(mirror: Mirror, tmp_path: Path) -> None:
    fetch_broken(mirror, tmp_path, cut_after=1000)
    found = download("ml-100k", tmp_path, mirror.base_url)
    assert mirror.ranges == [None, "bytes=1000-"]
    assert found.fetched_bytes == len(mirror.content) - 1000
    assert found.path.read_bytes() == mirror.content


def test_a_file_that_changed_on_the_server_is_fetched_from_the_start(mirror: Mirror, tmp_path: Path) -> None:
    fetch_broken(mirror, tmp_path, cut_after=1000)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ml-100k/u.data", "another edition " * 500)
    mirror.content, mirror.etag = stream.getvalue(), '"v2"'
    assert download("ml-100k", tmp_path, mirror.base_url).path.read_bytes() == mirror.content


def test_a_part_of_unknown_edition_is_not_continued(mirror: Mirror, tmp_path: Path) -> None:
    mirror.etag = 'W/"weak"'
    fetch_broken(mirror, tmp_path, cut_after=1000)
    assert download("ml-100k", tmp_path, mirror.base_url).path.read_bytes() == mirror.content
    assert mirror.ranges == [None, None]


def test_a_part_that_was_whole_already_is_used(mirror: Mirror, tmp_path: Path) -> None:
    # The process ended between the last byte and the renaming.
    (tmp_path / "ml-100k.zip.part").write_bytes(mirror.content)
    (tmp_path / "ml-100k.zip.part.etag").write_text(mirror.etag)
    assert download("ml-100k", tmp_path, mirror.base_url).path.read_bytes() == mirror.content
    assert mirror.ranges == [f"bytes={len(mirror.content)}-"]


def test_a_range_that_the_server_refuses_is_fetched_afresh(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "ml-100k.zip.part").write_bytes(mirror.content)
    (tmp_path / "ml-100k.zip.part.etag").write_text(mirror.etag)
    mirror.refuses_ranges = True
    found = download("ml-100k", tmp_path, mirror.base_url)
    assert found.path.read_bytes() == mirror.content
    assert mirror.ranges == [f"bytes={len(mirror.content)}-", None]


def test_an_answer_of_the_server_is_passed_on(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status = 503
    with pytest.raises(TransferFailed, match=r"the server answered 503 Service Unavailable\. Run the command again"):
        download("ml-100k", tmp_path, mirror.base_url)


def test_a_checksum_file_that_holds_none_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.md5 = "<html>Sorry</html>"
    with pytest.raises(TransferFailed, match=r"\.zip\.md5: it holds no md5 but '<html>Sorry"):
        download("ml-100k", tmp_path, mirror.base_url)


def test_nobody_listening_is_said(tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="ConnectError"):
        download("ml-100k", tmp_path, "http://127.0.0.1:1/")


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownDownload, match="'ml-2m'; known are ml-latest-small, ml-25m, ml-32m, ml-10m"):
        download("ml-2m", tmp_path)
    assert list(DATASETS) == ["ml-latest-small", "ml-25m", "ml-32m", "ml-10m", "ml-1m", "ml-100k"]
