"""What every test shares: shape checks switched on, the folder of real data, a private cache."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# Shapes in annotations are checked in tests and cost nothing in use.
install_import_hook("crosslook", "shape_checks.check")

os.environ["CROSSLOOK_PROGRESS"] = "0"

# Triton reads this when it is imported, which may be by another library. Without a GPU its kernels are interpreted.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# The first call of a function may load a model; how long a machine takes is not what is tested.
settings.register_profile("crosslook", deadline=None)
settings.load_profile("crosslook")

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CROSSLOOK_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def plain():
    """Loads a module as a user imports it, where nothing checks shapes before its functions do."""

    def load(name: str):
        path = (ROOT / "lib" / "crosslook").joinpath(*name.split(".")).with_suffix(".py")
        spec = importlib.util.spec_from_file_location("plain_" + name.replace(".", "_"), path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look their annotations up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets, which cannot be part of the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real data at {SHARED / 'data'}; set CROSSLOOK_SHARED to a folder that holds data/")
    return SHARED
