"""Scenes for the tests of the drawn world."""

import json
import os
import subprocess
import sys

import pytest

from crosslook.data.emoji.scene import Scene, from_record

NUMBER = 1500
CODE = f"""
import json
from crosslook.data.emoji.scene import sample_scene, to_record
print(json.dumps([to_record(sample_scene(f"test-{{s}}", s)) for s in range({NUMBER})]))
"""


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """The scenes of seeds 0, 1, ..., made in another process with another hash seed (and without slow shape checks)."""
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [from_record(record) for record in json.loads(run.stdout)]
