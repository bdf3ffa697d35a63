"""The one door to data: every file the book reads is found, fetched and checked here.

``find(name)`` looks in ``datasets/`` (small files that come with the book), then in the cache folder
(``RNN_BOOK_DATA``, else the user's cache), then on the network. ``datasets/manifest.json`` lists the
names with their checksums. A file of the right name laid into the cache by hand is as good as a
download. Nothing is ever unpickled, and a file that is not whole never gets its final name.
"""

import contextlib
import difflib
import errno
import functools
import hashlib
import http.client
import json
import lzma
import os
import shutil
import ssl
import stat
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from platformdirs import user_cache_dir
from tqdm import tqdm

CACHE_VARIABLE = "RNN_BOOK_DATA"
DATASETS = Path(__file__).resolve().parents[2] / "datasets"
TIMEOUT = 30.0  # seconds without an answer
CHUNK = 1 << 16


class DataError(RuntimeError):
    """Data that cannot be had; the message says why, and what to do."""


@functools.cache
def manifest() -> dict[str, dict[str, dict[str, Any]]]:
    """The lists of ``embedded`` and ``remote`` names with address, checksum and licence."""
    path = DATASETS / "manifest.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing: install the book from its repository with `pip install -e .`, "
            "so that the package finds the folder datasets/ beside it"
        ) from None


def names() -> list[str]:
    """Every name that :func:`find` knows."""
    return [*manifest()["embedded"], *manifest()["remote"]]


def cache_folder() -> Path:
    """Where downloads are kept: the environment variable ``RNN_BOOK_DATA``, else the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(user_cache_dir("rnn-book", appauthor=False))


def find(name: str, *, download: bool = True) -> Path:
    """Return the path of the file (or folder) called ``name``, whole and with the right checksum.

    Args:
        name: one of :func:`names`, e.g. ``"tiny_shakespeare/input.txt"``.
        download: whether to fetch it if it is not on this machine.

    Raises:
        DataError: unknown name, no network, full disk, folder that cannot be written, wrong
            checksum. Nothing half-written stays behind, and no file of yours is removed.
    """
    if name in manifest()["embedded"]:
        entry, path = manifest()["embedded"][name], DATASETS / name
        if not path.exists():
            raise DataError(f"{path} is missing from this copy of the book; `git checkout -- datasets` brings it back")
    elif name in manifest()["remote"]:
        entry, path = manifest()["remote"][name], cache_folder() / name
        if not path.exists():
            if not download:
                raise DataError(f"{name!r} is not in {cache_folder()}; {_by_hand(name, path)}")
            _fetch(name, entry, path)
    else:
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(names())}"
        raise DataError(f"unknown data {name!r}; {hint}")
    _check(path, entry)
    return path


# ---------------------------------------------------------------- checksums


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return _digest(path, "sha256")


def folder_sha256(folder: Path, pattern: str) -> str:
    """Digest of a folder: the lines ``SHA256␠␠NAME`` of its files, sorted by name, hashed again."""
    files = sorted(folder.glob(pattern), key=lambda p: p.name.encode())
    return hashlib.sha256("".join(f"{sha256(p)}  {p.name}\n" for p in files).encode()).hexdigest()


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


class _Mismatch(Exception):
    """Expected and found checksum."""


def _check(path: Path, entry: dict[str, Any], name: str = "", target: Path | None = None) -> None:
    """Compare with the manifest, once per process for a file that does not change.

    With ``target`` the file at ``path`` is a download that would go there, and the message says so.
    """
    status = path.stat()
    try:
        _check_once(path, status.st_size, status.st_mtime_ns, json.dumps(entry, sort_keys=True))
    except _Mismatch as mismatch:
        what, advice = str(path), "Move it away and ask again to get a fresh copy."
        if target is not None:
            what, advice = f"what {entry['url']} sent", f"Nothing was kept. Try again, or {_by_hand(name, target)}"
        raise DataError(
            f"{what} has the wrong checksum: {mismatch} ({status.st_size} bytes). It is damaged, "
            f"cut short or another version. {advice}"
        ) from None


@functools.cache
def _check_once(path: Path, size: int, modified: int, entry_text: str) -> None:
    entry = json.loads(entry_text)
    if "folder_sha256" in entry:
        expected, found = entry["folder_sha256"], folder_sha256(path, entry["files"])
    else:
        algorithm = "sha256" if "sha256" in entry else "sha1"
        expected, found = entry[algorithm], _digest(path, algorithm)
    if found != expected:
        raise _Mismatch(f"expected {expected}, found {found}")


# ---------------------------------------------------------------- download


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to https addresses."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme != "https":
        raise DataError(f"refusing {url}: only https addresses are fetched")


def _open(url: str) -> http.client.HTTPResponse:
    _require_https(url)
    request = urllib.request.Request(url, headers={"User-Agent": "rnn-book"})
    return urllib.request.build_opener(_HttpsOnly).open(request, timeout=TIMEOUT)


def _by_hand(name: str, path: Path) -> str:
    url = manifest()["remote"][name]["url"]
    return f"you can bring it by hand: lay the file from {url} at {path}"


def _fetch(name: str, entry: dict[str, Any], path: Path) -> None:
    """Download to a temporary name, check, and only then rename."""
    if "folder_sha256" in entry:
        _fetch_folder(name, entry, path)
        return
    with _explained(name, path), _temporary_folder(path.parent) as work:
        part = work / path.name
        _download(name, entry, part)
        _check(part, entry, name, path)
        os.replace(part, path)


def _fetch_folder(name: str, entry: dict[str, Any], path: Path) -> None:
    """Download an archive, unpack it beside its place, and move the folder of the right name there."""
    with _explained(name, path), _temporary_folder(path.parent) as work:
        archive = work / PurePosixPath(urllib.parse.urlsplit(entry["url"]).path).name
        _download(name, entry, archive)
        unpacked = unpack(archive, work / "unpacked")
        found = next(iter(sorted(p for p in unpacked.rglob(path.name) if p.is_dir())), None)
        if found is None:
            raise DataError(f"{entry['url']} holds no folder {path.name!r}; {_by_hand(name, path)}")
        _check(found, entry, name, path)
        try:
            os.replace(found, path)
        except OSError:
            if not path.is_dir():  # else another process was faster, and find checks what it laid there
                raise


def _download(name: str, entry: dict[str, Any], part: Path) -> None:
    with _open(entry["url"]) as response, open(part, "wb") as out:
        size = int(response.headers.get("Content-Length") or entry.get("bytes", 0)) or None
        tqdm.write(f"Fetching {name} (licence: {entry['licence']})")
        with tqdm(total=size, desc=name, unit="B", unit_scale=True, leave=False) as bar:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    if size is not None and part.stat().st_size != size:
        raise ConnectionError(f"the download ended after {part.stat().st_size} of {size} bytes")


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder beside the target (same disk, so that the last rename is atomic), removed whatever happens."""
    parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".part-", dir=parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _explained(name: str, path: Path) -> Iterator[None]:
    """Turn what can go wrong on the way into a DataError that says what to do."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"{error.url} answers {error.code} {error.reason}; {_by_hand(name, path)}") from None
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"cannot fetch {name!r} ({reason}). Without a network, {_by_hand(name, path)}") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk of {cache_folder()} is full: free some space, or set {CACHE_VARIABLE} to a folder elsewhere"
            ) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise DataError(
                f"cannot write to {cache_folder()} ({error.strerror}): set {CACHE_VARIABLE} to another folder"
            ) from None
        raise DataError(f"cannot fetch {name!r} ({error}); {_by_hand(name, path)}") from error


# ---------------------------------------------------------------- archives


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the regular files of a ``.zip`` or ``.tar.*`` into ``folder`` and return it.

    Raises:
        DataError: not an archive, damaged, or an entry that would land outside ``folder`` or is a link.
            Entries are checked before the first one is written.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as source:
                files = [(i.filename, i) for i in source.infolist() if not i.is_dir()]
                _refuse(next((n for n, i in files if stat.S_ISLNK(i.external_attr >> 16)), None), archive)
                _write_members(files, source.open, folder, archive)
        else:
            with tarfile.open(archive) as source:
                members = [m for m in source.getmembers() if not m.isdir()]
                _refuse(next((m.name for m in members if not m.isfile()), None), archive)
                while source.fileobj.read(CHUNK):  # to the very end, where .gz and .xz keep their checksum
                    pass
                _write_members([(m.name, m) for m in members], source.extractfile, folder, archive)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of gzip or bz2
            raise
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(f"{archive.name} is not a whole archive ({reason}); fetch it again") from None
    return folder


def _refuse(odd: str | None, archive: Path) -> None:
    if odd is not None:
        raise DataError(f"{archive.name} holds {odd!r}, a link or device; it is not unpacked")


def _write_members(files: list[tuple[str, Any]], read, folder: Path, archive: Path) -> None:
    root = folder.resolve()
    for name, _ in files:
        if not (root / name).resolve().is_relative_to(root):
            raise DataError(f"{archive.name} holds {name!r}, which would land outside its folder; it is not unpacked")
    for name, member in files:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with read(member) as stream, open(target, "wb") as out:
            shutil.copyfileobj(stream, out)
