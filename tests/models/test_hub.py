import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import timm
from huggingface_hub import constants, get_session, hf_hub_download
from safetensors.torch import save_file

from workbook.errors import CheckpointError
from workbook.models.checkpoints import from_timm
from workbook.models.hub import asked_once

NAME = "test_resnet"  # timm's smallest


class _Nothing(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(monkeypatch):
    """A server that has nothing, in the place of the hub, as HF_ENDPOINT would name it."""
    server = HTTPServer(("127.0.0.1", 0), _Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def nobody(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), _Nothing)
    server.server_close()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_whoever_answers_in_the_hub_s_place_is_asked(mirror):
    with asked_once():
        assert get_session().head(constants.ENDPOINT).status_code == 404


def test_where_nobody_answers_only_the_cache_is_asked_and_only_inside(nobody, cache):
    with pytest.raises(ConnectionError, match=f"^{constants.ENDPOINT} cannot be reached: "), asked_once():
        hf_hub_download("a/b", "c")
    assert not constants.HF_HUB_OFFLINE


def test_that_nobody_is_to_be_asked_is_said(mirror, cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="^HF_HUB_OFFLINE is set"), asked_once():
        hf_hub_download("a/b", "c")
    assert constants.HF_HUB_OFFLINE


def test_without_a_network_timm_s_weights_come_from_the_cache_or_an_error_comes_at_once(nobody, cache, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("the hub's client waits, to ask again"))
    with pytest.raises(CheckpointError, match="cannot be reached: .*connect to the network once.*--fresh"):
        from_timm(NAME)
    folder = cache / f"models--{timm.get_pretrained_cfg(NAME).hf_hub_id.replace('/', '--')}"
    for place, text in (("refs/main", "abc"), ("snapshots/abc/config.json", "{}")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    save_file(timm.create_model(NAME).state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    assert not from_timm(NAME).fresh
