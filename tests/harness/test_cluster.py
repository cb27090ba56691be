"""A sweep on Ray, in a network of its own that has nothing but a loopback: Ray listens on every interface there is."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import runner

ROOT = Path(__file__).resolve().parents[2]
UP = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x49))"  # SIOCSIFFLAGS: up, running


def alone() -> list[str] | None:
    """The command before a command that runs it in such a network; None where the system does not let us."""
    words = [shutil.which("unshare") or "", "-rn"]
    if not words[0] or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return None
    return words


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'lsmlab\[cluster\]'"):
        runner.place("ray", tmp_path, keep=False)
    with pytest.raises(ValueError, match="'moon'; allowed: local, ray"):
        runner.place("moon", tmp_path, keep=False)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: extra cluster")
def test_a_sweep_on_ray_is_the_sweep_on_this_machine(tmp_path: Path) -> None:
    network = alone()
    if network is None:
        pytest.skip("no network namespace can be made here")
    sweep = "-m experiments.cli sweep ycsb-a -g compaction.layout=leveling,tiering --records 1000 --operations 1000 -s threads=0 -j 2"
    shell = f'"{sys.executable}" -c "{UP}" && "{sys.executable}" {sweep} --on ray --out {tmp_path}/ray'
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([*network, "bash", "-c", shell], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs done" in done.stdout

    def lsmlab(*words: str) -> str:
        command = [sys.executable, "-m", "experiments.cli", *words]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    lsmlab(*sweep.split()[2:], "--out", "here")
    assert "byte-identical: 2 runs" in lsmlab("verify", "ray", "here")
