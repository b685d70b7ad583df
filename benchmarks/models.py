"""What it costs to read every head of a whole model: `.venv/bin/python benchmarks/models.py`, about five minutes.

A model of ViLT-base's shape (12 layers of 12 heads, 768 wide, random weights) on a picture and a caption of 1,065
positions together, and a decoder in LLaMA's style of the same size on 512 tokens: the forward pass alone; with capture
and the statistics of every head; with `output_attentions=True` and NumPy; and the package attnread, where it is
installed and knows the model (it wants other versions than this project, so give it an environment of its
own). Writes benchmarks/results/models.json.
"""

import importlib.util
import json
from pathlib import Path

import measure
import numpy as np
import torch

from crosslook.capture import capture

RESULTS = Path(__file__).with_name("results") / "models.json"


def vilt(attention: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    from transformers import ViltConfig, ViltModel

    # 1,024 patches and [CLS] for the picture, 40 tokens for the text.
    config = ViltConfig(image_size=1024, patch_size=32, max_image_length=-1)
    torch.manual_seed(0)
    inputs = {
        "input_ids": torch.randint(1000, 2000, (1, 40)),
        "attention_mask": torch.ones(1, 40, dtype=torch.long),
        "pixel_values": torch.randn(1, 3, 1024, 1024),
        "pixel_mask": torch.ones(1, 1024, 1024, dtype=torch.long),
    }
    return ViltModel(config).eval(), inputs


def llama(attention: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=1000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12
    )
    torch.manual_seed(0)
    model = LlamaModel._from_config(config, attn_implementation=attention).eval()
    return model, {"input_ids": torch.randint(1000, (1, 512)), "use_cache": False}


MODELS = {"vilt": vilt, "llama": llama}


def prepare(way: str, name: str) -> measure.Work:
    torch.set_grad_enabled(False)
    model, inputs = MODELS[name]("eager" if way == "numpy" else "sdpa")

    def plain():
        return model(**inputs)

    def ours():
        found = []
        with capture(model, on_site=lambda site: found.append(site.statistics())):
            model(**inputs)
        return found

    def numpy():
        attentions = model(**inputs, output_attentions=True).attentions
        found = []
        for attn in (layer.numpy() for layer in attentions):
            groups = np.eye(2)[np.arange(attn.shape[-1]) % 2].astype(np.float32)
            logs = np.log(attn, where=attn > 0, out=np.zeros_like(attn))
            found.append((attn @ groups, -(attn * logs).sum(-1), attn.max(-1)))
        return found

    def attnread():
        from attnread import extract_attention

        return extract_attention(model, inputs)

    return {"plain": plain, "ours": ours, "numpy": numpy, "attnread": attnread}[way]


def main() -> None:
    found = {"machine": measure.machine(), "models": []}
    for name in MODELS:
        ways = ["plain", "ours", "numpy"]
        if name == "llama" and importlib.util.find_spec("attnread"):
            ways.append("attnread")
        seconds = measure.times({way: prepare(way, name) for way in ways}, seconds=6)
        row = {way: {"seconds": seconds[way], "bytes": measure.peak(prepare, way, name)} for way in ways}
        found["models"].append({"name": name, "ways": row})
        print(name, {k: f"{v['seconds']:.2f} s, {v['bytes'] / 1e6:,.0f} MB" for k, v in row.items()}, flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
