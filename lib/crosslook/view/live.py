"""Widgets that also work without a kernel: one output, live in Jupyter and alike on a page that stands alone.

A subclass gives `source` and `look`, the names of a script and a style sheet beside this file, and traits tagged
`sync=True, page=True`. The script is a module in anywidget's form that imports nothing and ends with
`export default { render };`. On a page, `live.js` stands in for the kernel's model.
"""

import html
import json
from pathlib import Path
from typing import Any, ClassVar

import anywidget

HERE = Path(__file__).parent
ENDING = "export default { render };"


def read(name: str) -> str:
    """The text of a script or a style sheet beside this file."""
    return (HERE / name).read_text(encoding="utf-8")


class Live(anywidget.AnyWidget):
    """A widget whose output carries its live view and, beside it, HTML whose script does the same."""

    source: ClassVar[str]
    look: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "source" in vars(cls):  # not so the class that anywidget makes of each instance
            cls._esm, cls._css = read(cls.source), read(cls.look)
        super().__init_subclass__(**kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}, live in Jupyter"

    def html(self) -> str:
        """A block of HTML that needs nothing from outside: the state of now, the look, and the script."""
        state = {name: getattr(self, name) for name in self.trait_names(page=True)}
        # Captions are data: "<" is written so that none of them can end the block that holds them.
        data = json.dumps(state, allow_nan=False).replace("<", "\\u003c")
        kind = html.escape(Path(self.source).stem)
        script = read(self.source).rstrip().removesuffix(ENDING)
        return (
            f'<style>{read(self.look)}</style><div class="crosslook-live" data-kind="{kind}">'
            f'<script type="application/json">{data}</script><noscript>This figure needs JavaScript.</noscript></div>'
            f'<script>(() => {{ const KIND = "{kind}";\n{script}\n{read("live.js")} }})();</script>'
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = self.html()
        return bundle
