"""The example of a store over a Django project's models: the contract and the whole way, in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_store_over_a_django_project_behaves(tmp_path: Path) -> None:
    pytest = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "tests/own_store_django_run.py"]
    known = {"DJANGO_SETTINGS_MODULE": "examples.own_store_django.settings", "SHOP_DATABASE": str(tmp_path / "shop.sqlite3")}
    run = subprocess.run(pytest, cwd=ROOT, env={**os.environ, **known}, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed and int(passed[1]) > 35


def test_what_users_copy_is_short() -> None:
    lines = [len(file.read_text().splitlines()) for file in (ROOT / "examples/own_store_django").glob("*.py")]
    assert len(lines) == 7 and sum(lines) < 330
