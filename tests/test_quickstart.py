"""The quickstart's main job on the photographs of Flickr30k Entities, by its own notebook."""

import tarfile

import pytest

from crosslook import data
from crosslook.paths import ROOT
from crosslook.run import run


@pytest.fixture(scope="module")
def seven(shared, tmp_path_factory):
    """A folder with the annotations of the photographs that are at hand, in the data set's own layout."""
    source = shared / "data/flickr30k_entities"
    images = sorted((source / "images").glob("*.jpg"))
    assert len(images) == 7
    folder = tmp_path_factory.mktemp("flickr30k")
    wanted = {
        f"{kind}/{path.stem}{suffix}"
        for path in images
        for kind, suffix in (("Annotations", ".xml"), ("Sentences", ".txt"))
    }
    with tarfile.open(source / "flickr30k_entities_v1_full.tar.xz", "r|xz") as archive:
        for member in archive:
            name = "/".join(member.name.split("/")[-2:])
            if name in wanted:
                target = folder / name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())
                wanted.remove(name)
            if not wanted:
                break
    (folder / "test.txt").write_text("".join(f"{path.stem}\n" for path in images))
    (folder / "images").symlink_to(source / "images")
    return folder


@pytest.mark.realdata
def test_the_notebook_links_the_phrases_of_real_photographs(seven, tmp_path):
    spec = f"flickr30k:{seven}:test"
    done = run(
        ROOT / "notebooks/quickstart.ipynb", {"data": spec, "n_scenes": 7}, tmp_path / "copy.ipynb", progress=False
    )
    real = done.results[1]
    samples = data.load(spec, regions="gold")
    gold = [len(link) / len(sample.regions.boxes) for sample in samples for link in sample.links if link]
    assert real["n"] == len(gold) > 50
    assert "7 images" in real["note"]
    assert real["control"]["chance"] == pytest.approx(sum(gold) / len(gold))
    # How good the links are is the notebook's to find out: ImageNet has no class for people.
    low, high = real["interval"]
    assert 0 < low < real["value"] < high < 1
