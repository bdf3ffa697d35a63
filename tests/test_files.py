"""Tests of utils.data.files: finding, fetching, checking and unpacking, and everything that can go wrong.

No test leaves this machine: addresses are a server on 127.0.0.1, a closed port, or a fake response.
"""

import errno
import hashlib
import http.client
import http.server
import io
import itertools
import json
import os
import ssl
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from utils.data import files
from utils.data.files import DataError

BODY = b"All that is gold does not glitter\n" * 5000  # more than two chunks
WAVS = {"B.wav": b"one", "a.wav": b"two", "10.wav": b"three"}
# printf one >B.wav; printf two >a.wav; printf three >10.wav; LC_ALL=C sha256sum *.wav | sha256sum
WAVS_DIGEST = "224bb33127836eba23f23f2ffa76d87026c612c2737a0f119acc333b8be288c7"
CLOSED = "https://127.0.0.1:1/corpus.txt"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder of its own for every test, and no proxy between it and 127.0.0.1."""
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


@pytest.fixture
def book(monkeypatch):
    """Puts entries of the test's own in the place of the manifest's remote entries."""

    def register(**entries):
        remote = {name: {"licence": "none", **entry} for name, entry in entries.items()}
        monkeypatch.setattr(files, "manifest", lambda: {"embedded": {}, "remote": remote})

    return register


def digest(body: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, body).hexdigest()


def everything_in(folder: Path) -> list[str]:
    """Every file below a folder, and every temporary folder."""
    found = [p for p in folder.rglob("*") if p.is_file() or p.is_symlink() or ".part" in p.name]
    return sorted(str(p.relative_to(folder)) for p in found)


def lay(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


# ---------------------------------------------------------------- the manifest and the embedded files

EMBEDDED, REMOTE = files.manifest()["embedded"], files.manifest()["remote"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_file_is_found_whole(name):
    path = files.find(name, download=False)
    assert path.parent == files.DATASETS
    assert files.sha256(path) == EMBEDDED[name]["sha256"] == digest(path.read_bytes())
    assert path.stat().st_size == EMBEDDED[name]["bytes"]
    assert EMBEDDED[name]["licence"]


@pytest.mark.parametrize("name", REMOTE)
def test_a_remote_entry_is_well_formed(name):
    entry = REMOTE[name]
    kinds = {"sha256": 64, "sha1": 40, "folder_sha256": 64}
    (kind,) = kinds.keys() & entry.keys()  # exactly one checksum
    assert len(entry[kind]) == kinds[kind]
    assert set(entry[kind]) <= set("0123456789abcdef")
    assert entry["url"].startswith("https://")
    assert not entry["licence"].isspace()
    assert entry["licence"]
    assert ("files" in entry) == (kind == "folder_sha256")
    assert (kind == "sha1") == (name == "time_machine/timemachine.txt")
    assert ".." not in name
    assert not name.startswith("/")


def test_no_name_is_both_embedded_and_remote():
    assert not EMBEDDED.keys() & REMOTE.keys()
    assert files.names() == [*EMBEDDED, *REMOTE]


def test_multi30k_is_complete():
    wanted = {
        f"multi30k/{split}.{lang}.gz"
        for split in ("train", "val", "test_2016_flickr")
        for lang in ("en", "de", "fr", "cs")
    }
    assert {name for name in REMOTE if name.startswith("multi30k/")} == wanted
    assert len({REMOTE[name]["sha256"] for name in wanted}) == len(wanted)
    assert all(REMOTE[name]["url"].endswith("/" + name.partition("/")[2]) for name in wanted)


@pytest.mark.parametrize(
    ("name", "near"),
    [("multi30k/train.de", "multi30k/train.de.gz"), ("tiny_shakespear.txt", "tiny_shakespeare/input.txt")],
)
def test_an_unknown_name_suggests_the_nearest(name, near):
    with pytest.raises(DataError, match=f"unknown data '{name}'; did you mean .*'{near}'"):
        files.find(name)


def test_a_name_like_no_other_lists_all():
    with pytest.raises(DataError, match="there are ") as caught:
        files.find("%%%")
    assert all(name in str(caught.value) for name in files.names())


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/hostname", "manifest.json"])
def test_only_names_of_the_manifest_are_read(name):
    with pytest.raises(DataError, match="unknown data"):
        files.find(name)


def test_an_embedded_file_that_is_gone_or_damaged(tmp_path, monkeypatch):
    entry = {"sha256": digest(b"right"), "bytes": 5, "licence": "none"}
    lay(tmp_path / "manifest.json", json.dumps({"embedded": {"facts.csv": entry}, "remote": {}}).encode())
    monkeypatch.setattr(files, "DATASETS", tmp_path)
    monkeypatch.setattr(files, "manifest", files.manifest.__wrapped__)
    with pytest.raises(DataError, match="git checkout"):
        files.find("facts.csv")
    path = lay(tmp_path / "facts.csv", b"wrong")
    with pytest.raises(DataError, match="wrong checksum"):
        files.find("facts.csv")
    path.write_bytes(b"right")
    os.utime(path, (1, 1))  # another time stamp, whatever the clock's resolution
    assert files.find("facts.csv") == path


def test_a_missing_manifest_says_how_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "DATASETS", tmp_path)
    with pytest.raises(DataError, match=r"pip install -e \."):
        files.manifest.__wrapped__()


# ---------------------------------------------------------------- the cache, filled by hand


def test_the_cache_folder_is_the_variable_or_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path))
    assert files.cache_folder() == tmp_path
    monkeypatch.setenv(files.CACHE_VARIABLE, "~/corpora")
    assert files.cache_folder() == Path.home() / "corpora"
    monkeypatch.setattr(files, "user_cache_dir", lambda name, appauthor: f"/users/own/{name}")
    for unset in (lambda: monkeypatch.delenv(files.CACHE_VARIABLE), lambda: monkeypatch.setenv("RNN_BOOK_DATA", "")):
        unset()
        assert files.cache_folder() == Path("/users/own/rnn-book")


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_a_file_laid_by_hand_counts_only_with_the_right_checksum(book, cache, algorithm):
    book(**{"corpus/a.txt": {"url": CLOSED, algorithm: digest(BODY, algorithm)}})
    path = lay(cache / "corpus" / "a.txt", BODY[:-1])
    with pytest.raises(DataError, match="wrong checksum") as caught:
        files.find("corpus/a.txt")
    assert str(path) in str(caught.value)
    assert digest(BODY, algorithm) in str(caught.value)
    assert path.read_bytes() == BODY[:-1]  # refused, but the user's file stays
    path.write_bytes(BODY)
    assert files.find("corpus/a.txt") == path  # the closed port was not asked
    assert everything_in(cache) == ["corpus/a.txt"]


def test_a_file_that_changes_after_it_was_checked_is_checked_again(book, cache):
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    path = lay(cache / "a.txt", BODY)
    files.find("a.txt")
    path.write_bytes(BODY[:100])
    with pytest.raises(DataError, match="wrong checksum"):
        files.find("a.txt")


def test_a_folder_laid_by_hand_counts_only_with_the_right_digest(book, cache):
    name = "digits/recordings"
    book(**{name: {"url": CLOSED, "folder_sha256": WAVS_DIGEST, "files": "*.wav"}})
    for wav, body in WAVS.items():
        lay(cache / name / wav, body)
    lay(cache / name / "notes.txt", b"not of the pattern, so it does not count")
    assert files.find(name) == cache / name
    lay(cache / name / "c.wav", b"one too many")
    with pytest.raises(DataError, match="wrong checksum"):
        files.find(name)
    assert (cache / name / "c.wav").exists()


@pytest.mark.parametrize("change", ["body", "name", "missing"])
def test_the_folder_digest_is_that_of_sha256sum_and_sees_every_change(tmp_path, change):
    for wav, body in reversed(WAVS.items()):
        lay(tmp_path / wav, body)
    assert files.folder_sha256(tmp_path, "*.wav") == WAVS_DIGEST
    if change == "body":
        lay(tmp_path / "a.wav", b"tWo")
    else:
        (tmp_path / "a.wav").unlink()
        if change == "name":
            lay(tmp_path / "A.wav", b"two")
    assert files.folder_sha256(tmp_path, "*.wav") != WAVS_DIGEST


def test_the_folder_digest_does_not_depend_on_the_order_of_the_disk(tmp_path, monkeypatch):
    for wav, body in WAVS.items():
        lay(tmp_path / wav, body)
    for order in itertools.permutations(tmp_path.iterdir()):
        monkeypatch.setattr(Path, "glob", lambda folder, pattern, order=order: iter(order))
        assert files.folder_sha256(tmp_path, "*.wav") == WAVS_DIGEST


def test_without_download_the_message_names_address_and_target(cache):
    with pytest.raises(DataError) as caught:
        files.find("time_machine/timemachine.txt", download=False)
    assert REMOTE["time_machine/timemachine.txt"]["url"] in str(caught.value)
    assert str(cache / "time_machine" / "timemachine.txt") in str(caught.value)
    assert not cache.exists()


# ---------------------------------------------------------------- fetching


@pytest.fixture
def server(monkeypatch):
    """A real server on 127.0.0.1: ``server[path] = function(handler)``; its address counts as https."""
    routes = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            routes[self.path](self)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        routes["address"] = f"http://127.0.0.1:{running.server_port}"
        really = files._require_https
        monkeypatch.setattr(
            files, "_require_https", lambda url: None if url.startswith(routes["address"]) else really(url)
        )
        yield routes
        running.shutdown()
        thread.join()


def answer(body: bytes, status: int = 200, **headers):
    """A handler that sends this, with the true Content-Length unless another is given."""

    def handle(handler):
        handler.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return handle


def wav_archive(folder: str = "digits-1.0/recordings", wavs: dict[str, bytes] = WAVS) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, body in {"digits-1.0/README": b"read me", **{f"{folder}/{k}": v for k, v in wavs.items()}}.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return stream.getvalue()


@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_a_download_arrives_whole_and_leaves_nothing_else(book, server, cache, monkeypatch, algorithm, known_size):
    renamed, really = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.append((a.read_bytes(), a.parent, b)), really(a, b)))
    server["/a.txt"] = answer(BODY, **({} if known_size else {"Content_Length": None}))
    book(**{"corpus/a.txt": {"url": server["address"] + "/a.txt", algorithm: digest(BODY, algorithm)}})
    path = files.find("corpus/a.txt")
    assert path == cache / "corpus" / "a.txt"
    assert path.read_bytes() == BODY
    assert everything_in(cache) == ["corpus/a.txt"]
    ((body, parent, target),) = renamed  # whole before it gets its name, on the same disk
    assert (body, parent.parent, target) == (BODY, path.parent, path)
    del server["/a.txt"]
    assert files.find("corpus/a.txt") == path  # not asked for again


def test_the_reader_is_told_the_licence(book, server, capsys):
    server["/a.txt"] = answer(BODY)
    book(**{"a.txt": {"url": server["address"] + "/a.txt", "sha256": digest(BODY), "licence": "CC BY 4.0"}})
    files.find("a.txt")
    assert capsys.readouterr().out == "Fetching a.txt (licence: CC BY 4.0)\n"


def test_a_folder_is_fetched_from_its_archive(book, server, cache):
    name = "digits/recordings"
    server["/v1.tar.gz"] = answer(wav_archive())
    book(**{name: {"url": server["address"] + "/v1.tar.gz", "folder_sha256": WAVS_DIGEST, "files": "*.wav"}})
    assert files.find(name) == cache / name
    assert everything_in(cache) == sorted(f"{name}/{wav}" for wav in WAVS)
    assert {p.name: p.read_bytes() for p in (cache / name).iterdir()} == WAVS


def test_another_process_may_fetch_the_same_folder_first(book, server, cache):
    name = "digits/recordings"

    def late(handler):  # the other process finishes while this one still downloads
        for wav, body in WAVS.items():
            lay(cache / name / wav, body)
        answer(wav_archive())(handler)

    server["/v1.tar.gz"] = late
    book(**{name: {"url": server["address"] + "/v1.tar.gz", "folder_sha256": WAVS_DIGEST, "files": "*.wav"}})
    assert files.find(name) == cache / name
    assert everything_in(cache) == sorted(f"{name}/{wav}" for wav in WAVS)


def cut_chunk(handler):
    """Promise a chunk of 255 bytes and hang up after five: http.client raises IncompleteRead."""
    handler.protocol_version = "HTTP/1.1"
    answer(b"ff\r\nhello", Content_Length=None, Transfer_Encoding="chunked", Connection="close")(handler)


FAILURES = {
    "not found": (answer(b"no such page", 404), "answers 404 Not Found"),
    "server error": (answer(b"", 503), "answers 503 Service Unavailable"),
    "another body": (answer(BODY.replace(b"gold", b"bold")), "wrong checksum"),
    "truncated": (answer(BODY[:7000], Content_Length=len(BODY)), f"7000 of {len(BODY)} bytes"),
    "truncated chunk": (cut_chunk, "cannot fetch .*IncompleteRead"),
    "no answer": (lambda handler: None, "cannot fetch"),
    "not http": (lambda handler: handler.wfile.write(b"220 ftp ready\r\n"), "cannot fetch"),
}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_download_says_what_to_do_and_leaves_nothing(book, server, cache, failure, folder):
    handle, message = FAILURES[failure]
    name, check = ("x/recordings", {"folder_sha256": WAVS_DIGEST, "files": "*.wav"}) if folder else ("x/a.txt", None)
    url = server["address"] + "/a.tar.gz"
    if folder and failure == "another body":  # a good archive with something else in it
        handle = answer(wav_archive(wavs={"a.wav": b"other"}))
    server["/a.tar.gz"] = handle
    book(**{name: {"url": url, **(check or {"sha256": digest(BODY)})}})
    with pytest.raises(DataError, match=message) as caught:
        files.find(name)
    assert url in str(caught.value)
    assert str(cache / name) in str(caught.value)
    assert ".part" not in str(caught.value)
    assert everything_in(cache) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"this is no archive", "not a whole archive"), (wav_archive("digits-1.0/wav"), "holds no folder 'recordings'")],
    ids=["no archive", "no folder"],
)
def test_an_archive_without_the_folder_leaves_nothing(book, server, cache, body, message):
    server["/v1.tar.gz"] = answer(body)
    entry = {"url": server["address"] + "/v1.tar.gz", "folder_sha256": WAVS_DIGEST, "files": "*.wav"}
    book(**{"digits/recordings": entry})
    with pytest.raises(DataError, match=message):
        files.find("digits/recordings")
    assert everything_in(cache) == []


def test_a_server_that_falls_silent_is_given_up(book, server, cache, monkeypatch):
    monkeypatch.setattr(files, "TIMEOUT", 0.1)
    done = threading.Event()

    def silent(handler):
        answer(BODY[:10], Content_Length=len(BODY))(handler)
        done.wait()

    server["/a.txt"] = silent
    book(**{"a.txt": {"url": server["address"] + "/a.txt", "sha256": digest(BODY)}})
    try:
        with pytest.raises(DataError, match=r"cannot fetch 'a.txt' \(timed out\)"):
            files.find("a.txt")
    finally:
        done.set()
    assert everything_in(cache) == []


def test_no_network_says_how_to_bring_the_file_by_hand(book, cache):
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    with pytest.raises(DataError, match=r"cannot fetch 'a\.txt' .*refused.*by hand") as caught:
        files.find("a.txt")
    assert CLOSED in str(caught.value)
    assert str(cache / "a.txt") in str(caught.value)
    assert everything_in(cache) == []
    lay(cache / "a.txt", BODY)  # doing what it says helps
    assert files.find("a.txt").read_bytes() == BODY


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "ftp://127.0.0.1:1/a", "file:///etc/hostname", "a.txt"])
def test_only_https_is_fetched(book, cache, url):
    book(**{"a.txt": {"url": url, "sha256": digest(BODY)}})
    with pytest.raises(DataError, match=f"refusing {url}: only https"):
        files.find("a.txt")
    assert everything_in(cache) == []


def test_a_redirect_is_followed_only_to_https(book, server, cache):
    server["/a.txt"] = answer(b"", 302, Location="/b.txt")
    server["/b.txt"] = answer(BODY)
    server["/c.txt"] = answer(b"", 301, Location="http://localhost:1/a.txt")
    book(
        **{
            "good.txt": {"url": server["address"] + "/a.txt", "sha256": digest(BODY)},
            "bad.txt": {"url": server["address"] + "/c.txt", "sha256": digest(BODY)},
        }
    )
    assert files.find("good.txt").read_bytes() == BODY
    with pytest.raises(DataError, match=r"refusing http://localhost:1/a\.txt"):
        files.find("bad.txt")
    assert everything_in(cache) == ["good.txt"]


class Response(io.BytesIO):
    """Stands for the server's answer; raises ``error`` after the first chunk."""

    headers: dict = {}  # noqa: RUF012

    def __init__(self, body: bytes, error: BaseException | None = None):
        super().__init__(body)
        self.error = error

    def read(self, size=-1):
        if self.tell() and self.error is not None:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (http.client.IncompleteRead(b"12345", 10), "cannot fetch 'a.txt' .*5 bytes read"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "cannot fetch 'a.txt' .*reset"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "cannot fetch 'a.txt' .*No route"),
        (ssl.SSLError(1, "bad record mac"), "cannot fetch 'a.txt' .*bad record mac"),  # its errno is that of EPERM
    ],
)
def test_a_connection_that_breaks_in_the_middle(book, cache, monkeypatch, error, message):
    monkeypatch.setattr(files, "_open", lambda url: Response(BODY, error))
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    with pytest.raises(DataError, match=message) as caught:
        files.find("a.txt")
    assert CLOSED in str(caught.value)
    assert str(cache / "a.txt") in str(caught.value)
    assert everything_in(cache) == []


def test_an_interrupted_download_leaves_nothing(book, cache, monkeypatch):
    seen = []

    class Interrupted(Response):
        def read(self, size=-1):
            if self.tell():
                seen.extend(everything_in(cache))  # there was something to remove
            return super().read(size)

    monkeypatch.setattr(files, "_open", lambda url: Interrupted(BODY, KeyboardInterrupt()))
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    with pytest.raises(KeyboardInterrupt):
        files.find("a.txt")
    assert seen
    assert everything_in(cache) == []


class FullDisk(io.FileIO):
    """A file on a disk that has room for ten bytes."""

    code = errno.ENOSPC

    def write(self, data):
        super().write(data[:10])
        raise OSError(self.code, os.strerror(self.code))


class OverQuota(FullDisk):
    code = errno.EDQUOT


@pytest.mark.parametrize("disk", [FullDisk, OverQuota])
@pytest.mark.parametrize("when", ["downloading", "unpacking"])
def test_a_full_disk_leaves_nothing(book, cache, monkeypatch, disk, when):
    written = []

    def opened(path, mode):
        if "w" in mode and ((when == "downloading") == path.name.endswith(".tar.gz")):
            written.append(path)
            return disk(path, mode)
        return open(path, mode)

    monkeypatch.setattr(files, "open", opened, raising=False)
    monkeypatch.setattr(files, "_open", lambda url: Response(wav_archive()))
    entry = {"url": "https://127.0.0.1:1/a.tar.gz", "folder_sha256": WAVS_DIGEST, "files": "*.wav"}
    book(**{"x/recordings": entry})
    with pytest.raises(DataError, match=f"is full.*{files.CACHE_VARIABLE}"):
        files.find("x/recordings")
    assert len(written) == 1
    assert everything_in(cache) == []


@pytest.mark.parametrize("depth", ["cache", "cache/deeper"])
def test_a_cache_below_a_file_cannot_be_written(book, tmp_path, monkeypatch, depth):
    lay(tmp_path / "cache", b"a file where the folder should be")
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / depth))
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    with pytest.raises(DataError, match=f"cannot write to .*: set {files.CACHE_VARIABLE} to another folder"):
        files.find("a.txt")
    assert everything_in(tmp_path) == ["cache"]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_read_only_cache(book, monkeypatch, code):
    def refuse(**kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.tempfile, "mkdtemp", refuse)
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    with pytest.raises(DataError, match=rf"cannot write to .*\({os.strerror(code)}\)"):
        files.find("a.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(book, tmp_path, monkeypatch):
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "locked"))
    (tmp_path / "locked").mkdir(mode=0o500)
    book(**{"a.txt": {"url": CLOSED, "sha256": digest(BODY)}})
    with pytest.raises(DataError, match="cannot write to"):
        files.find("a.txt")


# ---------------------------------------------------------------- archives

MEMBERS = {"readme.txt": b"read me", "deep/er/data.bin": bytes(range(256)) * 300, "empty": b""}


def zipped(members: dict[str, bytes], path: Path, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, body, zipfile.ZIP_DEFLATED)
    return path


def tarred(members: dict[str, bytes], path: Path, mode: str = "w:gz", extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("deep")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
        if extra is not None:
            archive.addfile(extra)
    return path


ARCHIVES = {
    "zip": zipped,
    "tar": lambda members, path: tarred(members, path, "w:"),
    "tar.gz": lambda members, path: tarred(members, path, "w:gz"),
    "tar.bz2": lambda members, path: tarred(members, path, "w:bz2"),
    "tar.xz": lambda members, path: tarred(members, path, "w:xz"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_unpack_writes_every_file(tmp_path, kind):
    archive = ARCHIVES[kind](MEMBERS, tmp_path / f"a.{kind}")
    folder = files.unpack(archive, tmp_path / "out")
    assert folder == tmp_path / "out"
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == MEMBERS


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", ["../evil", "/abs/evil", "deep/../../evil", "../out-evil/x"])
def test_an_entry_outside_the_folder_is_refused_before_anything_is_written(tmp_path, kind, name):
    archive = ARCHIVES[kind]({"good.txt": b"good", name: b"evil"}, tmp_path / f"a.{kind}")
    with pytest.raises(DataError, match="which would land outside its folder"):
        files.unpack(archive, tmp_path / "out")
    assert everything_in(tmp_path) == [f"a.{kind}"]
    assert not Path("/abs").exists()


def test_an_entry_is_not_written_through_a_link_that_is_already_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="outside its folder"):
        files.unpack(zipped({"deep/file": b"x"}, tmp_path / "a.zip"), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_tar_is_refused_before_anything_is_written(tmp_path, kind):
    odd = tarfile.TarInfo("odd")
    odd.type, odd.linkname = kind, "readme.txt"
    archive = tarred(MEMBERS, tmp_path / "a.tar.gz", extra=odd)
    with pytest.raises(DataError, match="'odd', a link or device; it is not unpacked"):
        files.unpack(archive, tmp_path / "out")
    assert everything_in(tmp_path) == ["a.tar.gz"]


def test_a_link_in_a_zip_is_refused_before_anything_is_written(tmp_path):
    archive = zipped({"odd": b"/etc/hostname"}, tmp_path / "a.zip", mode=stat.S_IFLNK | 0o777)
    with pytest.raises(DataError, match="'odd', a link or device; it is not unpacked"):
        files.unpack(archive, tmp_path / "out")
    assert everything_in(tmp_path) == ["a.zip"]


def cut_short(body: bytes) -> bytes:
    return body[: len(body) * 2 // 3]


def spoil(body: bytes) -> bytes:
    """Change bytes inside the compressed data of the large member."""
    middle = len(body) // 2
    return body[:middle] + bytes(b ^ 0xFF for b in body[middle : middle + 20]) + body[middle + 20 :]


NOISE = b"".join(hashlib.sha256(bytes([i, j])).digest() for i in range(16) for j in range(256))  # 128 kB


# a plain tar has no checksum over its data
@pytest.mark.parametrize(
    ("kind", "damage"), [(k, d) for k in ARCHIVES for d in (cut_short, spoil) if (k, d) != ("tar", spoil)]
)
def test_a_damaged_archive_is_not_taken_for_a_whole_one(tmp_path, kind, damage):
    archive = ARCHIVES[kind]({"noise": NOISE, "last": b"x" * 2000}, tmp_path / f"a.{kind}")
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DataError, match=rf"a\.{kind} is not a whole archive \(.+\); fetch it again"):
        files.unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("body", [b"", b"plain text, no archive", b"\x1f\x8b", b"PK\x03\x04"])
def test_something_else_is_not_an_archive(tmp_path, body):
    archive = lay(tmp_path / "a.tar.gz", body)
    with pytest.raises(DataError, match="not a whole archive"):
        files.unpack(archive, tmp_path / "out")
    assert everything_in(tmp_path) == ["a.tar.gz"]
