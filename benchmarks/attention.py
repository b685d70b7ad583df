"""What statistics of an attention call cost, against the call itself and against other ways to get them.

    .venv/bin/python benchmarks/attention.py            # all; writes benchmarks/results/attention.json
    .venv/bin/python benchmarks/attention.py 16x512     # only these, printed

Every way gives the same numbers for the same queries and keys (12 heads of 64, float32): the mass on 8 groups of keys,
the entropy and the largest weight of every row.
"""

import json
import sys
from functools import partial
from pathlib import Path

import measure
import numpy as np
import torch

from crosslook import attention, rollout, streaming

CASES = [
    (1, 64),
    (16, 64),
    (64, 64),
    (1, 256),
    (1, 512),
    (16, 512),
    (64, 512),
    (4, 1024),
    (1, 2048),
    (1, 4096),
    (1, 8192),
]
HEADS, WIDTH, GROUPS = 12, 64, 8
RESULTS = Path(__file__).with_name("results") / "attention.json"


def inputs(batch: int, length: int) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(batch, HEADS, length, WIDTH, generator=random) for _ in range(3))
    return q, k, v, torch.nn.functional.one_hot(torch.arange(length) % GROUPS, GROUPS).expand(batch, -1, -1).bool()


def plain(q, k, v, groups):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def ours(q, k, v, groups):
    return streaming.statistics(q, k, groups=groups)


def materialise(q, k, v, groups):
    attn = torch.softmax(q @ k.transpose(-1, -2) * WIDTH**-0.5, -1)
    return attention.mass(attn, groups), attention.entropy(attn, normalize=False), attn.amax(-1)


def into_numpy(q, k, v, groups):
    """As one does with `output_attentions=True`: the weights come out of the model, NumPy does the rest."""
    attn = torch.softmax(q @ k.transpose(-1, -2) * WIDTH**-0.5, -1).numpy()
    mass = attn @ groups[:, None].float().numpy()
    return mass, -(attn * np.log(attn, where=attn > 0, out=np.zeros_like(attn))).sum(-1), attn.max(-1)


def two_calls(q, k, v, groups):
    """Without any code of one's own: attention with the groups as values, and with the keys as values."""
    call = torch.nn.functional.scaled_dot_product_attention
    members = torch.zeros(*groups.shape[:2], WIDTH).masked_scatter(
        torch.arange(WIDTH) < GROUPS, groups.float().flatten()
    )
    return call(q, k, members[:, None].expand_as(k)), call(q, k, k)


WAYS = {f.__name__: f for f in (plain, ours, materialise, into_numpy, two_calls)}


def prepare(way: str, batch: int, length: int) -> measure.Work:
    torch.set_grad_enabled(False)
    WAYS[way](*inputs(1, 32))  # libraries set themselves up on first use
    return partial(WAYS[way], *inputs(batch, length))


def rolled(way: str, layers: int, length: int) -> measure.Work:
    torch.set_grad_enabled(False)
    random = torch.Generator().manual_seed(0)
    stack = [torch.randn(2, 1, HEADS, length, WIDTH, generator=random) for _ in range(layers)]
    start = torch.nn.functional.one_hot(torch.arange(length) % GROUPS, GROUPS)[None].float()

    def streamed():
        reached = start
        for q, k in stack:
            reached = rollout.forward(q, k, reached)
        return reached

    def row():
        rows = torch.zeros(1, length, 1)
        rows[:, 0] = 1
        for q, k in reversed(stack):
            rows = rollout.backward(q, k, rows)
        return rows

    def dense():
        attns = torch.stack([torch.softmax(q @ k.transpose(-1, -2) * WIDTH**-0.5, -1).mean(1) for q, k in stack])
        return attention.rollout(attns)[-1] @ start

    def forward():
        return [torch.nn.functional.scaled_dot_product_attention(q, k, k) for q, k in stack]

    return {"plain": forward, "groups": streamed, "row": row, "dense": dense}[way]


def table(prepare, ways, *case: int) -> dict[str, dict[str, float]]:
    seconds = measure.times({way: prepare(way, *case) for way in ways})
    return {way: {"seconds": seconds[way], "bytes": measure.peak(prepare, way, *case)} for way in ways}


def write(found: dict) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def main(chosen: list[str]) -> None:
    torch.set_grad_enabled(False)
    cases = [tuple(int(n) for n in case.split("x")) for case in chosen] or CASES
    found = {"machine": measure.machine(), "heads": HEADS, "width": WIDTH, "groups": GROUPS, "calls": [], "rollout": []}
    for batch, length in cases:
        # At 8,192 positions, materialising takes 13 GB and minutes.
        row = table(prepare, list(WAYS) if length < 8000 else ["plain", "ours", "two_calls"], batch, length)
        found["calls"].append({"batch": batch, "length": length, "ways": row})
        ratios = {way: numbers["seconds"] / row["plain"]["seconds"] for way, numbers in row.items()}
        print(
            batch, length, *(f"{way} {ratios[way]:.2f} ({row[way]['bytes'] / 1e6:,.1f} MB)" for way in row), flush=True
        )
        if not chosen:
            write(found)
    for layers, length in [] if chosen else [(12, 1024), (12, 2048)]:
        row = table(rolled, ["plain", "groups", "row", "dense"], layers, length)
        found["rollout"].append({"layers": layers, "length": length, "ways": row})
        print("rollout", layers, length, {k: round(v["seconds"], 3) for k, v in row.items()}, flush=True)
        write(found)


if __name__ == "__main__":
    main(sys.argv[1:])
