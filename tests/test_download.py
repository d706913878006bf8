"""Downloads against a real HTTP server on this machine: good, corrupt, cut off, down, and out of reach."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from npticket.datasets import DataError, download

pytest.importorskip("pooch")

GOOD = b"the right bytes" * 1000
FILES = {
    "one.gz": "md5:" + hashlib.md5(GOOD).hexdigest(),
    "two.gz": "sha256:" + hashlib.sha256(GOOD).hexdigest(),
}


class Mirror:
    """A server that answers every GET with `content`, announcing `length` bytes."""

    def __init__(self, content=GOOD, length=None, status=200):
        self.asked = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                self.end_headers()

            def do_GET(self):
                mirror.asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def contents(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_good_mirror_delivers(tmp_path):
    with Mirror() as mirror:
        download.download(FILES, [mirror.url], tmp_path)
        assert contents(tmp_path) == set(FILES)
        assert (tmp_path / "one.gz").read_bytes() == GOOD
        download.download(FILES, [mirror.url], tmp_path)
        assert mirror.asked == ["/one.gz", "/two.gz"]  # what is right already is not fetched again


@pytest.mark.parametrize(
    "bad",
    [
        {"content": b"the wrong bytes"},
        {"content": GOOD[:700], "length": len(GOOD)},  # the connection ends in the middle
        {"status": 404},
        {"status": 500},
    ],
    ids=["corrupt", "cut off", "not found", "server error"],
)
def test_a_bad_mirror_leaves_nothing_and_the_next_one_is_tried(tmp_path, bad):
    with Mirror(**bad) as first:
        with pytest.raises(DataError, match=r"no mirror delivered one\.gz intact") as error:
            download.download(FILES, [first.url], tmp_path)
        assert first.url in str(error.value)
        assert contents(tmp_path) == set()
        with Mirror() as second:
            download.download(FILES, [first.url, second.url], tmp_path)
    assert contents(tmp_path) == set(FILES)
    assert (tmp_path / "two.gz").read_bytes() == GOOD


def test_a_damaged_file_in_the_cache_is_replaced(tmp_path):
    (tmp_path / "one.gz").write_bytes(b"half a fi")
    with Mirror() as mirror:
        download.download(FILES, [mirror.url], tmp_path)
    assert (tmp_path / "one.gz").read_bytes() == GOOD


def test_a_mirror_that_is_down_is_passed_over(tmp_path):
    with Mirror() as gone:
        pass
    with Mirror() as mirror:
        download.download(FILES, [gone.url, mirror.url], tmp_path)
    assert contents(tmp_path) == set(FILES)
    with pytest.raises(download.OutOfReach, match="no mirror can be reached"):
        download.download(FILES, [gone.url], tmp_path)


def test_a_network_that_swallows_everything_is_given_up_within_ten_seconds(tmp_path):
    # A server that accepts connections and never answers, which is worse than one that refuses.
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(download.OutOfReach):
            download.download(FILES, [url, url], tmp_path)
        assert time.monotonic() - began < 10
    assert contents(tmp_path) == set()
