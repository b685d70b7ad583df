"""Tiny models of `transformers` with random weights, and inputs for them: two examples, the second one padded.

`ZOO` maps a name to a function of the attention implementation; each gives a model in evaluation mode and its inputs.
"""

import torch

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
IMAGE, VIDEO, START, END = 90, 91, 92, 93
WORDS, PADDED = 7, 5


def built(cls, config, implementation="eager"):
    torch.manual_seed(0)
    config._attn_implementation = implementation
    model = cls(config).eval()
    # Initial weights are so small that all attention is uniform, and a wrong head would not be noticed.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


def _words(n=WORDS, padded=PADDED, image=0, side="right"):
    """Ids and mask; `image` places for image tokens after the first word."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 80, (2, n + image), generator=generator)
    mask = torch.ones_like(ids)
    if side == "right":
        mask[1, padded + image :] = 0
        ids[:, 1 : 1 + image] = IMAGE
    else:
        mask[1, : n - padded] = 0
        start = n - padded + 1
        ids[:, start : start + image] = IMAGE
    ids[mask == 0] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _pixels(size=32, n=2):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(2))


def lxmert(implementation="eager"):
    from transformers import LxmertConfig, LxmertModel

    size = {key: SIZE[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads")}
    config = LxmertConfig(
        vocab_size=100, l_layers=3, r_layers=2, x_layers=2, visual_feat_dim=12, max_position_embeddings=20, **size
    )
    generator = torch.Generator().manual_seed(3)
    image_mask = torch.ones(2, 6)
    image_mask[1, 4:] = 0
    inputs = {
        **_words(),
        "visual_feats": torch.randn(2, 6, 12, generator=generator),
        "visual_pos": torch.rand(2, 6, 4, generator=generator),
        "visual_attention_mask": image_mask,
    }
    return built(LxmertModel, config), inputs


def visual_bert(implementation="eager"):
    from transformers import VisualBertConfig, VisualBertModel

    config = VisualBertConfig(vocab_size=100, visual_embedding_dim=12, max_position_embeddings=20, **SIZE)
    image_mask = torch.ones(2, 6)
    image_mask[1, 4:] = 0
    inputs = {
        **_words(),
        "visual_embeds": torch.randn(2, 6, 12, generator=torch.Generator().manual_seed(3)),
        "visual_attention_mask": image_mask,
    }
    return built(VisualBertModel, config), inputs


def vilt(implementation="eager"):
    from transformers import ViltConfig, ViltModel

    config = ViltConfig(vocab_size=100, image_size=32, patch_size=8, max_position_embeddings=20, **SIZE)
    pixel_mask = torch.ones(2, 32, 32, dtype=torch.long)
    pixel_mask[1, 24:] = 0
    return built(ViltModel, config), {**_words(), "pixel_values": _pixels(), "pixel_mask": pixel_mask}


def _blip_config():
    from transformers import BlipConfig

    text = {"vocab_size": 100, "max_position_embeddings": 40, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    vision = {"image_size": 32, "patch_size": 8}
    return BlipConfig(
        text_config={**SIZE, **text, "encoder_hidden_size": 32, "sep_token_id": 3},
        vision_config={**SIZE, **vision},
        image_text_hidden_size=32,
        projection_dim=32,
    )


def blip_matching(implementation="eager"):
    from transformers import BlipForImageTextRetrieval

    return built(BlipForImageTextRetrieval, _blip_config()), {**_words(), "pixel_values": _pixels()}


def blip_captioning(implementation="eager"):
    from transformers import BlipForConditionalGeneration

    return built(BlipForConditionalGeneration, _blip_config()), {**_words(), "pixel_values": _pixels()}


def _clip_like(prefix, implementation, **text):
    import transformers

    Config, Model = (getattr(transformers, prefix + part) for part in ("Config", "Model"))
    config = Config(
        text_config={**SIZE, "vocab_size": 100, "max_position_embeddings": 20, **text},
        vision_config={**SIZE, "image_size": 32, "patch_size": 8},
    )
    return built(Model, config, implementation), {**_words(), "pixel_values": _pixels()}


def clip(implementation="sdpa"):
    return _clip_like("CLIP", implementation, eos_token_id=3, bos_token_id=2, pad_token_id=1, projection_dim=32)


def siglip(implementation="sdpa"):
    return _clip_like("Siglip", implementation, projection_size=32)


def bridgetower(implementation="eager"):
    from transformers import BridgeTowerConfig, BridgeTowerModel

    size = {**SIZE, "hidden_size": 128, "num_attention_heads": 2}
    config = BridgeTowerConfig(
        text_config={**size, "vocab_size": 100, "max_position_embeddings": 40},
        vision_config={"hidden_size": 128, "num_hidden_layers": 2, "image_size": 32, "patch_size": 16},
        **size,
    )
    return built(BridgeTowerModel, config, "eager"), {**_words(), "pixel_values": _pixels()}


def flava(implementation="eager"):
    from transformers import FlavaConfig, FlavaModel

    config = FlavaConfig(
        text_config={**SIZE, "vocab_size": 100, "max_position_embeddings": 40},
        image_config={**SIZE, "image_size": 32, "patch_size": 8},
        multimodal_config=SIZE,
        image_codebook_config={"num_groups": 4, "num_blocks_per_group": 1, "hidden_size": 4, "vocab_size": 8},
        hidden_size=32,
        projection_dim=32,
    )
    return built(FlavaModel, config), {**_words(), "pixel_values": _pixels()}


DECODER = {**SIZE, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 100, "max_position_embeddings": 128}
SPECIAL = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}


def llava(implementation="sdpa"):
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**SIZE, image_size=32, patch_size=16),
        text_config=LlamaConfig(**DECODER, **SPECIAL),
        image_token_id=IMAGE,
    )
    inputs = {**_words(image=4, side="left"), "pixel_values": _pixels()}
    return built(LlavaForConditionalGeneration, config, implementation), inputs


def qwen2_vl(implementation="sdpa"):
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = Qwen2VLConfig(
        text_config={**DECODER, **SPECIAL, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2, "patch_size": 4},
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        vision_end_token_id=END,
    )
    inputs = _words(image=4, side="left")
    # Two images of 4 x 4 patches, two by two of which make a token.
    inputs["pixel_values"] = torch.randn(32, 3 * 2 * 4 * 4, generator=torch.Generator().manual_seed(2))
    inputs["image_grid_thw"] = torch.tensor([[1, 4, 4], [1, 4, 4]])
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == IMAGE).int()
    return built(Qwen2VLForConditionalGeneration, config, implementation), inputs


def paligemma(implementation="sdpa"):
    from transformers import GemmaConfig, PaliGemmaConfig, PaliGemmaForConditionalGeneration, SiglipVisionConfig

    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**SIZE, image_size=32, patch_size=16, vision_use_head=False),
        text_config=GemmaConfig(**DECODER, **SPECIAL),
        image_token_id=IMAGE,
        projection_dim=32,
    )
    inputs = {**_words(image=4, side="left"), "pixel_values": _pixels()}
    inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
    return built(PaliGemmaForConditionalGeneration, config, implementation), inputs


def smolvlm(implementation="sdpa"):
    from transformers import LlamaConfig, SmolVLMConfig, SmolVLMForConditionalGeneration

    config = SmolVLMConfig(
        vision_config={**SIZE, "image_size": 32, "patch_size": 8},
        text_config=LlamaConfig(**DECODER, **SPECIAL),
        image_token_id=IMAGE,
        scale_factor=2,
    )
    inputs = {**_words(image=4, side="left"), "pixel_values": _pixels()[:, None]}
    return built(SmolVLMForConditionalGeneration, config, implementation), inputs


def gemma3(implementation="sdpa"):
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3TextConfig, SiglipVisionConfig

    text = Gemma3TextConfig(**DECODER, **SPECIAL, sliding_window=4, layer_types=["sliding_attention", "full_attention"])
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**SIZE, image_size=32, patch_size=8, vision_use_head=False),
        text_config=text,
        mm_tokens_per_image=4,
        image_token_id=IMAGE,
    )
    inputs = {**_words(image=4, side="left"), "pixel_values": _pixels()}
    inputs["token_type_ids"] = (inputs["input_ids"] == IMAGE).long()
    return built(Gemma3ForConditionalGeneration, config, implementation), inputs


OLD_STYLE = {"lxmert": lxmert, "visual_bert": visual_bert, "vilt": vilt, "flava": flava}
BLIP = {"blip_matching": blip_matching, "blip_captioning": blip_captioning}
ENCODERS = {"clip": clip, "siglip": siglip}
DECODERS = {"llava": llava, "qwen2_vl": qwen2_vl, "paligemma": paligemma, "smolvlm": smolvlm, "gemma3": gemma3}
ZOO = {**OLD_STYLE, **BLIP, "bridgetower": bridgetower, **ENCODERS, **DECODERS}
