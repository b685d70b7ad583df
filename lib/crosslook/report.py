"""Record a result together with what makes it believable: how many, how sure, compared with what.

A recorded result is displayed where it was computed and travels in the executed notebook under a media type of its own,
so it is kept by whatever runs the notebook (`crosslook.run`, plain papermill, Jupyter) and can be read back from it.
"""

import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MEDIA_TYPE = "application/vnd.crosslook.result+json"


@dataclass(frozen=True)
class Result:
    """One number of the book. `control` maps the name of a comparison (a chance level, a twin) to its value."""

    name: str
    value: float
    n: int
    interval: tuple[float, float]
    control: Mapping[str, float]
    unit: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self._said()}"

    def _said(self) -> str:
        low, high = self.interval
        unit = f" {self.unit}" if self.unit else ""
        controls = ", ".join(f"{name} {value:.3g}" for name, value in self.control.items())
        return f"{self.value:.3g}{unit} [{low:.3g}, {high:.3g}], n = {self.n:,}; {controls}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        name, rest = html.escape(self.name), html.escape(self._said())
        note = f"<br><small>{html.escape(self.note)}</small>" if self.note else ""
        line = f'<p class="crosslook-result"><strong>{name}</strong>: {rest}{note}</p>'
        return {"text/plain": str(self), "text/html": line, MEDIA_TYPE: asdict(self)}


def record(
    name: str,
    value: float,
    *,
    n: int,
    interval: tuple[float, float],
    control: Mapping[str, float],
    unit: str = "",
    note: str = "",
) -> None:
    """Record and display one result.

    Args:
        name: what was measured, unique in its notebook.
        value: the measurement.
        n: how many independent things (images, phrases, ...) it rests on; at least 1.
        interval: lower and upper end of its interval, in the same unit.
        control: at least one comparison, as name -> value: a chance level, an untrained twin, shuffled pairs.
        unit: of the value, if it has one.
        note: one sentence a reader needs beside it.

    Raises:
        ValueError: if a part is missing or is not a finite number.
    """
    if not name:
        raise ValueError("name: expected what was measured, got an empty text")
    if n < 1:
        raise ValueError(f"n of {name!r}: expected at least 1, got {n}")
    if not control:
        raise ValueError(f"control of {name!r}: expected at least one comparison, got none")
    low, high = (float(end) for end in interval)
    numbers = {"value": float(value), "interval": low, "interval ": high, **{k: float(v) for k, v in control.items()}}
    for part, number in numbers.items():
        if not math.isfinite(number):
            raise ValueError(f"{part.strip()} of {name!r}: expected a finite number, got {number}")
    if low > high:
        raise ValueError(f"interval of {name!r}: expected lower end first, got {(low, high)}")
    controls = {key: float(number) for key, number in control.items()}
    result = Result(name, float(value), int(n), (low, high), controls, unit, note)

    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(result)
    else:
        display(result)


def results(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results recorded in an executed notebook (as `nbformat.read` gives it), in order.

    Raises:
        ValueError: if two results carry the same name, since one could not be told from the other.
    """
    found = list(_recorded(notebook))
    names = [result["name"] for result in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"results: expected every name once, got twice: {', '.join(twice)}")
    return found


def _recorded(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if MEDIA_TYPE in output.get("data", {}):
                yield dict(output["data"][MEDIA_TYPE])
