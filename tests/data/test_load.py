"""Data sets by name."""

import shutil
import subprocess
import sys

import pytest

from crosslook import data
from crosslook.data import photos
from crosslook.data.errors import DataError
from crosslook.paths import DATA


def test_every_name_that_is_listed_can_be_loaded(tmp_path):
    shutil.copytree(DATA / "photos", tmp_path / "a:b")
    for spec in data.list():
        if spec in ("emoji:train", "emoji:val"):
            continue  # the same code as emoji:test, for more images
        if spec.startswith("emoji"):
            samples = data.load(spec, regions="gold")
            assert len(samples) == 2500
            assert samples[0].image_id.startswith(spec.partition(":")[2])
        else:
            samples = data.load(spec.replace("PATH", str(tmp_path / "a:b")).replace("SPLIT", "photos"))
            assert len(samples) == 15
    assert data.load(f"flickr30k:{tmp_path}/a:b:all").image_ids == ("china", "flower", "grace_hopper")


@pytest.mark.parametrize(
    "spec", ["", "emoji", "emoji:valid", "photos:val", "flickr30k", "flickr30k:val", "flickr30k:x:"]
)
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(spec):
    with pytest.raises(ValueError, match=rf"spec: expected one of emoji:train, .*, got '{spec}'") as caught:
        data.load(spec)
    assert all(known in str(caught.value) for known in data.list())


def test_options_are_handed_on(tmp_path):
    shutil.copytree(DATA / "photos", tmp_path / "photos")
    (tmp_path / "photos/Sentences/china.txt").write_text("[ a")
    spec = f"flickr30k:{tmp_path / 'photos'}:photos"
    with pytest.raises(DataError, match=r"Sentences/china\.txt:1:1: expected '\]'"):
        data.load(spec)
    with pytest.warns(UserWarning, match="skipped 1 of 3"):
        assert len(data.load(spec, on_error="skip")) == 10
    with pytest.raises(TypeError, match="colour"):
        data.load("photos", colour="red")
    with pytest.raises(DataError, match="there is nothing"):
        data.load(f"flickr30k:{tmp_path / 'nowhere'}:val")


def test_photos_have_their_images():
    samples = data.load("photos")
    assert samples.image_ids == ("grace_hopper", "china", "flower")
    for sample in samples[::5]:
        assert sample.image.size == (sample.width, sample.height)
        assert len(sample.regions.boxes) >= 6
    with pytest.raises(ValueError, match=r"image_id: expected one of \('grace_hopper', .*, got 'cat'"):
        photos.path("cat")


def test_importing_the_package_is_light():
    heavy = ("numpy", "torch", "PIL", "matplotlib", "sklearn")
    code = f"import sys, crosslook.data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
