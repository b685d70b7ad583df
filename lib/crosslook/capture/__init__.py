"""Every attention call of a model: what it compared, by which rules, and which of it is text and which image.

    with capture(model) as tape:
        model(**inputs)
    for site in tape.sites:
        print(site.kind, site.layer, site.name, site.statistics().entropy)

The model runs as it is: its outputs stay the same to the last bit, and nothing stays behind in it. There are two ways
in. `modules.py` reads modules that have linears for queries and keys, as the project's own models and the older ones of
`transformers`; `interface.py` stands between the newer models of `transformers` and their attention function. What
positions are text or image, and in which family of models, is said in `positions.py`: that is where to add one.
`coverage.py` watches that no attention call goes by unseen.
"""

from crosslook.capture.errors import Unseen, Unsupported
from crosslook.capture.positions import Positions
from crosslook.capture.site import Site
from crosslook.capture.tape import Tape, capture

__all__ = ["Positions", "Site", "Tape", "Unseen", "Unsupported", "capture"]
