"""MovieLens from its official home, GroupLens: resumable, checked against the published md5, all or nothing.

The file grows as `<name>.zip.part` and gets its name only when it is whole and checked, so a zip that exists
is a good one. A part that is left behind is continued, unless the file on the server has changed since.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from training.data.errors import ChecksumMismatch, TransferFailed, UnknownDownload

BASE_URL = "https://files.grouplens.org/datasets/movielens/"

DATASETS = {
    "ml-latest-small": "100 thousand ratings of 9,700 films (1 MB); for trying things out, changes over time",
    "ml-25m": "25 million ratings of 62,000 films (250 MB)",
    "ml-32m": "32 million ratings of 88,000 films (239 MB)",
    "ml-10m": "10 million ratings of 10,700 films, until 2009 (63 MB)",
    "ml-1m": "1 million ratings of 3,900 films, until 2003 (6 MB)",
    "ml-100k": "100 thousand ratings of 1,700 films from 1998 (5 MB)",
}
"""Names that can be fetched, and what they hold."""

Progress = Callable[[int, int | None], None]
"""Called with (bytes so far, bytes in total or None when the server does not say)."""

_TIMEOUT = httpx.Timeout(30.0, read=60.0)
_MD5 = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True)
class Download:
    """A downloaded data set."""

    path: Path
    """The zip; `read_dataset` reads it as it is."""
    fetched_bytes: int
    """Bytes that were transferred; 0 when the zip existed already."""
    md5: str | None
    """The published checksum that the zip was found to have; None when none is published, or nothing was fetched."""


def download(name: str, folder: Path, base_url: str = BASE_URL, progress: Progress | None = None) -> Download:
    """Fetch `<name>.zip` into a folder, which is made if need be, unless it is there already.

    Where GroupLens publishes no md5 (ml-latest-small), the zip's own checksums are the proof that it is whole.
    Raises UnknownDownload, TransferFailed (what came is kept, and continued next time), ChecksumMismatch.
    """
    if name not in DATASETS:
        raise UnknownDownload(name, DATASETS)
    target = folder / f"{name}.zip"
    if target.exists():
        return Download(target, fetched_bytes=0, md5=None)
    folder.mkdir(parents=True, exist_ok=True)
    url = f"{base_url.rstrip('/')}/{name}.zip"
    part = folder / f"{name}.zip.part"
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
        expected = _published_md5(client, url)
        fetched = _fetch(client, url, part, progress or (lambda done, total: None))
    _verify(part, url, expected)
    part.rename(target)
    _etag_file(part).unlink(missing_ok=True)
    return Download(target, fetched, expected)


def _published_md5(client: httpx.Client, url: str) -> str | None:
    """The checksum in `<url>.md5`; None when the server has no such file."""
    try:
        response = client.get(f"{url}.md5")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise TransferFailed(f"{url}.md5", _reason(error)) from error
    found = _MD5.search(response.text.lower())
    if not found:
        raise TransferFailed(f"{url}.md5", f"it holds no md5 but {response.text[:60]!r}")
    return found.group()


def _fetch(client: httpx.Client, url: str, part: Path, progress: Progress) -> int:
    """Append the rest of the file to `part`; returns the bytes that were transferred."""
    kept = part.stat().st_size if part.exists() else 0
    etag = _etag_file(part).read_text() if kept and _etag_file(part).exists() else ""
    # If-Range: the rest only when the file is still the same, else all of it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={kept}-", "If-Range": etag} if etag else {})
    fetched = 0
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and etag:
                _forget(part)
                return _fetch(client, url, part, progress)
            response.raise_for_status()
            start = kept if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
            _etag_file(part).write_text(_strong_etag(response))
            length = response.headers.get("content-length")
            total = start + int(length) if length else None
            with part.open("ab" if start else "wb") as stream:
                for chunk in response.iter_raw():
                    stream.write(chunk)
                    fetched += len(chunk)
                    progress(start + fetched, total)
    except httpx.HTTPError as error:
        resumable = part.exists() and _etag_file(part).exists() and bool(_etag_file(part).read_text())
        raise TransferFailed(url, _reason(error), part.stat().st_size if resumable else 0) from error
    return fetched


def _verify(part: Path, url: str, expected: str | None) -> None:
    """Raises ChecksumMismatch or TransferFailed, and removes the file, unless it is whole."""
    with part.open("rb") as stream:
        actual = hashlib.file_digest(stream, "md5").hexdigest()
    problem: Exception | None = None
    if expected is not None and actual != expected:
        problem = ChecksumMismatch(url, expected, actual)
    elif not zipfile.is_zipfile(part) or (expected is None and _damaged_member(part) is not None):
        problem = TransferFailed(url, "what came is not a whole zip file")
    if problem is not None:
        _forget(part)
        raise problem


def _damaged_member(part: Path) -> str | None:
    with zipfile.ZipFile(part) as archive:
        return archive.testzip()


def _forget(part: Path) -> None:
    part.unlink()
    _etag_file(part).unlink(missing_ok=True)


def _etag_file(part: Path) -> Path:
    """Beside the part: which version of the file it is a part of."""
    return part.with_name(part.name + ".etag")


def _strong_etag(response: httpx.Response) -> str:
    """The response's ETag where it promises equal bytes, else empty: a weak one must not join two parts."""
    etag = str(response.headers.get("etag", ""))
    return "" if etag.startswith("W/") else etag


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code} {error.response.reason_phrase}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
