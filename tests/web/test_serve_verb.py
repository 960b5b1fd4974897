"""`kikibouba serve` as a user starts it: its address, its errors, its end."""

import importlib.abc
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from kikibouba.cli import main
from kikibouba.errors import KikiboubaError
from kikibouba.web.server import open_socket

ROOT = Path(__file__).parents[2]


def test_the_page_is_there(server):
    with urllib.request.urlopen(server) as answer:
        assert "kikibouba" in answer.read().decode()
        assert answer.headers["content-type"].startswith("text/html")


def test_a_busy_port_is_said_in_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"port {port}" in message
    assert "--port" in message


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("", -1)])
def test_addresses_that_cannot_be(host, port):
    with pytest.raises(KikiboubaError):
        open_socket(host, port)


def test_no_workers_cannot_work(capsys):
    assert main(["serve", "--port", "0", "--workers", "0"]) == 1
    assert "1 or more" in capsys.readouterr().err


class Without(importlib.abc.MetaPathFinder):
    """As if a package were not installed."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.name)


@pytest.mark.parametrize("name", ["fastapi", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(name, monkeypatch, capsys):
    for module in [m for m in sys.modules if m.startswith(("kikibouba.web", name))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Without(name), *sys.meta_path])
    assert main(["serve"]) == 1
    message = capsys.readouterr().err
    assert "pip install 'kikibouba[web]'" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked(number):
    command = [sys.executable, "-m", "kikibouba", "serve", "--port", "0", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split("http://")[1].split()[0]
        with urllib.request.urlopen(f"http://{address}/healthz") as answer:
            assert answer.read() == b"ok\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors
    assert process.returncode in (0, 130, -number)
