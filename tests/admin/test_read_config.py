"""The configuration is read by a process of its own: what comes back is what reading it here gives."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kidoproxy.admin import read_config as module
from kidoproxy.admin.read_config import ConfigProcess, main, model_version, read_config, read_config_apart
from kidoproxy.resp.errors import ConfigError
from tests.config.files import RING, pool

WRONG = {
    "not TOML": "[pool.cache\n",
    "several mistakes": pool("hahs = 1\ntimeout_ms = 0"),
    "a command that does not exist": pool('deny = ["get", "gett"]'),
    "a file that is not there": None,
    "bytes that are no text": "\udcff",
}


def problems_of(read: object, file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(file)  # type: ignore[operator]
    return caught.value.problems


def test_what_comes_back(tmp_path: Path) -> None:
    """Another process has read it, and it is the same."""
    file = tmp_path / "ring.toml"
    file.write_text(RING)

    assert read_config_apart(file) == read_config(file)


@pytest.mark.parametrize("kind", WRONG)
def test_mistakes_come_back(kind: str, tmp_path: Path) -> None:
    """Line by line, those of the file and those that only the command table knows."""
    file, text = tmp_path / "ring.toml", WRONG[kind]
    if text is not None:
        file.write_bytes(text.encode(errors="surrogateescape"))

    assert problems_of(read_config_apart, file) == problems_of(read_config, file) != []


def test_another_program_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was installed since would write values into other fields: nothing of it is taken."""
    (tmp_path / "ring.toml").write_text(RING)
    monkeypatch.setattr(module, "__version__", "0.0.1")

    found = problems_of(read_config_apart, tmp_path / "ring.toml")
    assert found == [f"{tmp_path}/ring.toml: {module.OTHER_PROGRAM}"]


def test_the_fields_are_part_of_the_version() -> None:
    """Two builds of one version may differ."""
    assert "Pool(name,mode" in model_version()


def test_modules_of_the_folder_are_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write into the folder in which a proxy is started has no say in what it runs."""
    file = tmp_path / "ring.toml"
    file.write_text(RING)
    for name in ("tomllib", "pydantic", "pickle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)

    assert read_config_apart(file).source == read_config(file).source


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """By the kernel for want of memory, say: an error that says so, and none of its mistakes are made up."""
    os.mkfifo(tmp_path / "ring.toml")
    reading = ConfigProcess(tmp_path / "ring.toml")  # nobody writes into it: it waits
    reading.process.send_signal(signal.SIGKILL)

    with pytest.raises(ConfigError, match=r"ring\.toml: reading it ended with status -9"):
        reading.result()


def test_a_process_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said last is the cause."""
    monkeypatch.setattr(module, "_PROGRAM", "raise MemoryError('no room')")

    with pytest.raises(ConfigError, match=r"reading it ended with status 1: MemoryError: no room"):
        read_config_apart(tmp_path / "ring.toml")


@pytest.mark.parametrize("text", [RING, "x ="])
def test_the_process_says_it_in_bytes(text: str, tmp_path: Path, capfdbinary: "pytest.CaptureFixture[bytes]") -> None:
    """Nothing else is on its standard output."""
    file = tmp_path / "ring.toml"
    file.write_text(text)

    main(str(file))

    version, found = pickle.loads(capfdbinary.readouterr().out)
    assert version == model_version()
    assert found == (read_config(file) if text == RING else problems_of(read_config, file))


def test_who_serves_does_not_load_the_library() -> None:
    """All that a proxy imports to serve is there without what checks the file."""
    modules = "kidoproxy.admin.cli.serve, kidoproxy.net.serve, kidoproxy.admin.http"
    program = f"import sys, {modules}; print('pydantic' in sys.modules)"
    found = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
