"""`--database`: a case that one machine found is the first of another, and a server may die."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis.database import InMemoryExampleDatabase, MultiplexedDatabase

from gatewise.properties.options import UsageError, check_database, configure
from gatewise.properties.running.databases import Surviving, database

#: A subject whose fault is rare, and which writes down the sizes of each input that it is given.
FILE = """
import os
import torch

class Rare(torch.nn.RNNCell):
    def forward(self, x, h=None):
        with open(os.environ["LOG"], "a") as log:
            log.write(f"{tuple(x.shape)} {self.hidden_size}\\n")
        y = super().forward(x, h)
        return y * 1.5 if x.shape[-1] == self.hidden_size == 5 else y
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """A redis-server on a free port of this machine: its URL and its process."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [found, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    for _ in range(500):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    try:
        yield f"redis://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def begun(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run on the rare fault in a folder of its own, as on a machine of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(FILE, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "gatewise", "check", "mine.py:Rare"]
    own = ["--property", "equals_reference", "--precision", "float32", "--jobs", "1"]
    return subprocess.Popen(
        [*command, *own, *options],
        cwd=folder,
        env={**os.environ, "LOG": str(folder / "log")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def inputs(folder: Path) -> list[str]:
    """The sizes of the inputs that the subject was given, in order."""
    return (folder / "log").read_text(encoding="utf-8").splitlines()


def test_a_case_of_one_machine_is_the_first_of_another(
    tmp_path: Path, server: tuple[str, Any]
) -> None:
    url, _ = server
    first = begun(tmp_path / "one", "--database", url, "--profile", "thorough", "--seed", "1")
    out, err = first.communicate(timeout=300)
    assert first.returncode == 1, out + err
    fault = "5) 5"
    assert len([i for i in inputs(tmp_path / "one") if not i.endswith(fault)]) > 20  # it is rare
    # The other machine draws few cases, and its first one has the fault.
    shared = begun(tmp_path / "two", "--database", url, "--profile", "quick", "--seed", "2")
    out, err = shared.communicate(timeout=300)
    assert shared.returncode == 1, out + err
    assert inputs(tmp_path / "two")[0].endswith(fault)
    alone = begun(tmp_path / "three", "--profile", "quick", "--seed", "2")
    alone.communicate(timeout=300)
    assert not inputs(tmp_path / "three")[0].endswith(fault)


def test_a_run_survives_the_death_of_the_server(tmp_path: Path, server: tuple[str, Any]) -> None:
    url, process = server
    run = begun(tmp_path / "one", "--database", url, "--profile", "thorough", "--seed", "1")
    while not (tmp_path / "one" / "log").exists():
        assert run.poll() is None
        time.sleep(0.01)
    process.kill()
    out, err = run.communicate(timeout=300)
    assert run.returncode == 1, out + err
    assert "the run goes on without it" in err
    assert "equals_reference" in out


class Broken(InMemoryExampleDatabase):
    """A database that fails after its first answer."""

    def fetch(self, key: bytes) -> Any:
        """Nothing."""
        raise ConnectionError("gone")


def test_a_database_that_fails_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    lasting = Surviving(Broken(), "redis://here")
    lasting.save(b"key", b"value")
    assert [*lasting.fetch(b"key")] == []
    lasting.save(b"key", b"value")
    lasting.delete(b"key", b"value")
    assert capsys.readouterr().err == (
        "gatewise: the database redis://here does not answer (ConnectionError: gone); the run goes "
        "on without it\n"
    )


def test_what_a_text_names(tmp_path: Path) -> None:
    assert isinstance(database("github:me/mine"), MultiplexedDatabase)
    folder = database(str(tmp_path))
    folder.save(b"key", b"value")
    assert [*database(str(tmp_path)).fetch(b"key")] == [b"value"]


@pytest.mark.parametrize(
    ("stated", "line"),
    [
        ("http://there", "--database 'http://there': expected a folder, redis://HOST:PORT, or git"),
        ("github:me", "--database 'github:me': expected a folder, redis://HOST:PORT, or github:"),
        (
            "redis://there:port",
            "--database 'redis://there:port': Port could not be cast to integer",
        ),
        (
            "redis://127.0.0.1:1",
            "--database 'redis://127.0.0.1:1': the server does not answer (Con",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(stated: str, line: str) -> None:
    pytest.importorskip("redis")
    with pytest.raises(UsageError) as caught:
        check_database(configure({"--database": stated, "--subject": ["torch.nn.RNN"]}))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_server_without_the_package_redis_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis", "hypothesis.extra.redis"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="needs the package redis") as caught:
        configure({"--database": "redis://not-installed:1", "--subject": ["torch.nn.RNN"]})
    assert "\n" not in str(caught.value)
