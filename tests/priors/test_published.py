"""Published priors, from a file server of this process: fetched whole and checked, or not kept."""

import hashlib
import http.server
import json
import threading

import pytest
from tiny import tiny_unet

from napari_lossguide.cli import main
from napari_lossguide.priors import published
from napari_lossguide.priors.load import find_prior, load_prior, save_prior
from napari_lossguide.priors.published import fetch
from napari_lossguide.types import InvalidInput


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; can stop in its middle or send another."""

    content = b""
    cut = False
    served = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.served += 1
        if not self.path.endswith("/large.safetensors"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: len(self.server.content) // 2 if self.server.cut else None])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A published prior 'large', and a cache of its own."""
    network, path = tiny_unet(), tmp_path / "source.safetensors"
    facts = {"name": "large", "sigma_data": 0.25, "licence": "CC0", "trained_on": "nothing"}
    save_prior(path, network.state_dict(), network.config, facts)
    server = Server(("127.0.0.1", 0), Handler)
    server.content = path.read_bytes()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    entry = {
        "url": f"http://127.0.0.1:{server.server_port}/large.safetensors",
        "sha256": hashlib.sha256(server.content).hexdigest(),
        "size": len(server.content),
        "licence": "CC0",
    }
    server.registry, server.cache = tmp_path / "published.json", tmp_path / "cache"
    server.registry.write_text(json.dumps({"large": entry}))
    monkeypatch.setattr(published, "REGISTRY", server.registry)
    monkeypatch.setattr(published, "cache_folder", lambda: server.cache)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def kept(server):
    return [p.name for p in server.cache.iterdir()] if server.cache.exists() else []


def test_the_list_in_the_package_is_readable_and_has_nothing_yet():
    assert published.published() == {}
    with pytest.raises(InvalidInput, match="no published prior 'large'; none is published yet"):
        fetch("large")


def test_fetched_once_and_then_found_by_its_name(server, capsys):
    assert main(["priors", "fetch", "large"]) == 0
    assert str(server.cache / "large.safetensors") in capsys.readouterr().out
    assert (server.cache / "large.safetensors").read_bytes() == server.content
    assert find_prior("large") == server.cache / "large.safetensors"
    assert load_prior("large").info.name == "large"
    fetch("large")
    assert server.served == 1


def test_before_it_is_fetched_the_name_says_how(server):
    with pytest.raises(
        InvalidInput, match=r"'large' has to be fetched first \(0 MB, CC0\): lossguide priors fetch large"
    ):
        find_prior("large")


def test_another_file_is_not_kept(server):
    server.content = server.content[:-1] + b"x"
    with pytest.raises(
        InvalidInput, match=r"another file than was published \(its SHA-256 differs\); nothing was kept"
    ):
        fetch("large")
    assert kept(server) == []


def test_an_interrupted_download_is_not_kept_and_can_be_repeated(server):
    server.cut = True
    with pytest.raises(InvalidInput, match=r"could not be fetched|another file"):
        fetch("large")
    assert kept(server) == []
    server.cut = False
    assert fetch("large").read_bytes() == server.content


def test_a_damaged_file_in_the_cache_is_fetched_again(server):
    fetch("large").write_bytes(b"damaged")
    with pytest.raises(InvalidInput, match="has to be fetched first"):
        find_prior("large")
    assert fetch("large").read_bytes() == server.content


def test_without_a_network_it_says_what_to_do(server):
    entries = json.loads(server.registry.read_text())
    entries["large"]["url"] = "http://127.0.0.1:9/large.safetensors"  # nobody listens on the discard port
    entries["gone"] = entries["large"] | {"url": f"http://127.0.0.1:{server.server_port}/gone.safetensors"}
    server.registry.write_text(json.dumps(entries))
    for name in ("large", "gone"):
        with pytest.raises(InvalidInput, match=rf"could not be fetched \(\w+\); check .*, or put the file at .*{name}"):
            fetch(name)


def test_an_unknown_name_lists_the_published_ones(server, capsys):
    assert main(["priors", "fetch", "huge"]) == 2
    assert "There is no published prior 'huge'; published are large." in capsys.readouterr().err
    assert main(["priors", "fetch"]) == 2
    assert "required: NAME; see lossguide priors fetch" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "no json", '{"large": {"url": "ftp://x"}}', '{"large": 3}'])
def test_a_damaged_list(server, text):
    server.registry.write_text(text)
    with pytest.raises(InvalidInput, match=r"list of published priors .* is damaged"):
        published.published()
