"""Published models of `transformers` behind the protocol: `crosslook.models.load("hf:NAME")`.

| model | what the image is | heads, where the checkpoint has them |
|---|---|---|
| LXMERT, VisualBERT | region features of the batch (`hub_regions`) | words, regions (LXMERT), matching |
| ViLT | the samples' pictures (`hub_pixels`) | words, matching |
| LLaVA, Qwen2-VL to 3-VL, PaliGemma, SmolVLM, Idefics3 | the samples' pictures (`hub_decoders`) | next words |

Nothing is unpickled, and no code of a checkpoint is run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from crosslook.models.checkpoint import listed

ADAPTERS = {
    "lxmert": "hub_regions.Lxmert",
    "visual_bert": "hub_regions.VisualBert",
    "vilt": "hub_pixels.Vilt",
    "llava": "hub_decoders.Decoder",
    "qwen2_vl": "hub_decoders.Decoder",
    "qwen2_5_vl": "hub_decoders.Decoder",
    "qwen3_vl": "hub_decoders.Decoder",
    "paligemma": "hub_decoders.Decoder",
    "smolvlm": "hub_decoders.Decoder",
    "idefics3": "hub_decoders.Decoder",
}


def load(name: str, tokenizer: str | None = None) -> nn.Module:
    """A published model, in evaluation mode and in the precision of its checkpoint.

    Args:
        name: a folder with `config.json`, weights (safetensors, or `pytorch_model.bin` read with `weights_only=True`),
            tokenizer and, for a model of pixels, image processor; or a name on the Hugging Face hub, which is then
            downloaded, unless it has been before.
        tokenizer: folder or name of the tokenizer, for a checkpoint that comes without its own: the published
            VisualBERT models go with `"google-bert/bert-base-uncased"`.

    Raises:
        FileNotFoundError: no such folder, nothing to download, or a part is missing.
        ValueError: a model of another kind; weights that are missing, of another shape or damaged.
    """
    source, local = _source(name)
    config = _config(name, source, local)
    if config.model_type not in ADAPTERS:
        raise ValueError(f"hf:{name}: expected a model of type {', '.join(ADAPTERS)}, got {config.model_type!r}")
    module, adapter = ADAPTERS[config.model_type].split(".")
    words = _tokenizer(name, *(_source(tokenizer) if tokenizer else (source, local)))
    parts = [words] if module == "hub_regions" else [words, _image_processor(name, source, local)]
    model = _weights(name, source, local, config)
    made = getattr(import_module(f"crosslook.models.{module}"), adapter)(model, *parts)
    return made.eval()


def tokenize(tokenizer: Any, caption: str, special: bool) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and character spans of a caption; special tokens, if they are wanted, have the span (0, 0)."""
    found = tokenizer(caption, add_special_tokens=special, return_offsets_mapping=True)
    return list(found["input_ids"]), [(int(start), int(end)) for start, end in found["offset_mapping"]]


@contextmanager
def kept(**modules: nn.Module) -> Iterator[dict[str, Any]]:
    """Within the block, what each of these modules gave last, by the name that it has here."""
    found: dict[str, Any] = {}

    def hook(name: str) -> Any:
        return lambda module, args, output: found.update({name: output})

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _source(name: str) -> tuple[str, bool]:
    """What to give `from_pretrained`, and whether it is a folder."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder), True
    if not name or name.startswith((".", "~", "/", "\\")) or name.count("/") > 1 or "\\" in name:
        raise FileNotFoundError(f"hf:{name}: expected a folder or the name of a model on the hub, found no such folder")
    return name, False


def _config(name: str, source: str, local: bool) -> Any:
    from transformers import AutoConfig

    if local and not (Path(source) / "config.json").is_file():
        raise FileNotFoundError(f"hf:{name}: expected config.json in this folder, found none")
    try:
        return AutoConfig.from_pretrained(source, local_files_only=local, trust_remote_code=False)
    except Exception as error:
        if local:
            raise ValueError(f"hf:{name}: expected a config.json of transformers; {_first(error)}") from error
        raise FileNotFoundError(
            f"hf:{name}: no such folder, it was not downloaded before, and the hub did not give it; {_first(error)}"
        ) from error


def _tokenizer(name: str, source: str, local: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(source, local_files_only=local, trust_remote_code=False)
        # Where there are no files, transformers may make a tokenizer of special tokens alone.
        empty = set(found.get_vocab()) <= set(found.all_special_tokens)
    except Exception as error:
        raise FileNotFoundError(f"hf:{name}: {NO_TOKENIZER.format(source)}; {_first(error)}") from error
    if empty:
        raise FileNotFoundError(f"hf:{name}: {NO_TOKENIZER.format(source)}")
    if not found.is_fast:
        raise ValueError(f"hf:{name}: expected a tokenizer that says which characters a token has (a fast one)")
    return found


NO_TOKENIZER = (
    "expected a tokenizer (tokenizer.json, or vocab.txt) in {}, found none; say which one it goes with: "
    "load(..., tokenizer=NAME)"
)


def _image_processor(name: str, source: str, local: bool) -> Any:
    from transformers import AutoImageProcessor

    try:
        # The same pixels with and without torchvision.
        return AutoImageProcessor.from_pretrained(
            source, local_files_only=local, trust_remote_code=False, backend="pil"
        )
    except Exception as error:
        raise FileNotFoundError(
            f"hf:{name}: expected an image processor (preprocessor_config.json) in {source}, found none that works; "
            f"{_first(error)}"
        ) from error


def _weights(name: str, source: str, local: bool, config: Any) -> nn.Module:
    import transformers

    classes = [getattr(transformers, one, None) for one in config.architectures or ()]
    fitting = [one for one in classes if isinstance(one, type) and getattr(one, "config_class", None) is type(config)]
    if not fitting:
        got = ", ".join(config.architectures or ()) or "none"
        raise ValueError(f"hf:{name}: expected config.json to name its class under architectures, got {got}")
    try:
        with _no_conversion():
            model, found = fitting[0].from_pretrained(
                source,
                local_files_only=local,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told below
                dtype="auto",
            )
    except Exception as error:
        raise ValueError(f"hf:{name}: could not read the weights; {_first(error)}") from error
    missing = [f"{key} is missing" for key in sorted(found["missing_keys"])]
    wrong = [
        f"{key} is {tuple(there)} instead of {tuple(expected)}"
        for key, there, expected in sorted(found["mismatched_keys"])
    ]
    if problems := wrong + missing:
        raise ValueError(f"hf:{name}: expected weights that fit {fitting[0].__name__}, but {listed(problems)}")
    return model


@contextmanager
def _no_conversion() -> Iterator[None]:
    """Otherwise transformers asks the hub to convert checkpoints that are not safetensors, in the user's name."""
    key = "DISABLE_SAFETENSORS_CONVERSION"
    before = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before


def _first(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
