"""Published models that read region features: LXMERT and VisualBERT of `transformers`, behind the protocol.

They were trained on the features of bottom-up attention (Anderson et al. 2018): a batch needs features of that width,
for example of `crosslook.data.bottom_up`. Features of another detector of the same width load, and mean little.
"""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from crosslook.data.sample import Batch
from crosslook.models.hub import kept, tokenize
from crosslook.models.protocol import Encoded, Places, tokens

if TYPE_CHECKING:
    from crosslook.capture import Positions


class Lxmert(nn.Module):
    """LXMERT (Tan & Bansal 2019): a stream of words, a stream of regions, and layers in which they look at each other.

    States after each layer: of text the language layers and then the crossing ones, of the image the object-relation
    layers and then the crossing ones.
    """

    image_input = "regions"

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        config, trained = model.config, type(model).__name__ == "LxmertForPreTraining"
        if not (trained and config.task_mask_lm):
            self.word_logits = None
        if not (trained and config.task_obj_predict and config.visual_obj_loss):
            self.region_logits = None
        if not (trained and config.task_matched):
            self.match_logits = None

    def tokenize(self, caption: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character spans, for `collate`."""
        return tokenize(self.tokenizer, caption, special=True)

    def forward(self, batch: Batch) -> Encoded:
        """Encode a batch of tokens, features and boxes.

        Raises:
            ValueError: for a batch without tokens, or without features of the checkpoint's width.
        """
        base, config = self.model.base_model, self.model.config
        ids, text_mask = tokens(batch, config.vocab_size, config.max_position_embeddings)
        features = _features(batch, config.visual_feat_dim, base.dtype)
        # Shares of the image; published LXMERT was given (x1, y1, x2, y2) over width and height.
        places = (batch.boxes / batch.sizes.repeat(1, 2)[:, None]).to(base.dtype)
        with kept(text=base.embeddings, image=base.encoder.visn_fc) as first:
            found = base(
                input_ids=ids,
                visual_feats=features,
                visual_pos=places,
                attention_mask=text_mask.to(base.dtype),
                visual_attention_mask=batch.region_mask.to(base.dtype),
                output_hidden_states=True,
                return_dict=True,
            )
        return Encoded(
            text_states=(first["text"], *found.language_hidden_states),
            image_states=(first["image"], *found.vision_hidden_states),
            text_mask=text_mask,
            image_mask=batch.region_mask,
            pooled=found.pooled_output,
        )

    def word_logits(self, encoded: Encoded) -> Float[Tensor, "batch text vocab"]:
        """Of masked words."""
        return self.model.cls.predictions(encoded.text_states[-1])

    def region_logits(self, encoded: Encoded) -> Float[Tensor, "batch region class"]:
        """Of masked regions, over the 1,600 object classes of Visual Genome that bottom-up attention knows."""
        return self.model.obj_predict_head(encoded.image_states[-1])["obj"]

    def match_logits(self, encoded: Encoded) -> Float[Tensor, "batch 2"]:
        """Of not belonging together (0) and belonging together (1)."""
        return self.model.cls.seq_relationship(encoded.pooled)

    def places(self, batch: Batch) -> Places:
        """Words and regions stand in their streams as they stand in the batch."""
        return Places(_count(batch.ids), _each(batch))

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions are present; [CLS] and [SEP] count as words."""
        from crosslook.capture import Positions

        return Positions(text=batch.text_mask, image=batch.region_mask)


class VisualBert(nn.Module):
    """VisualBERT (Li et al. 2019): words, then regions, in one sequence. It does not read boxes.

    Raises:
        ValueError: for a checkpoint that keeps the regions out of all layers but the last (`bypass_transformer`).
    """

    image_input = "regions"

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        if model.config.bypass_transformer:
            raise ValueError("model: expected one whose layers all see words and regions, got bypass_transformer")
        self.model = model
        self.tokenizer = tokenizer
        self.region_logits = None
        if type(model).__name__ != "VisualBertForPreTraining":
            self.word_logits = self.match_logits = None

    def tokenize(self, caption: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character spans, for `collate`."""
        return tokenize(self.tokenizer, caption, special=True)

    def forward(self, batch: Batch) -> Encoded:
        """Encode a batch of tokens and features.

        Raises:
            ValueError: for a batch without tokens, or without features of the checkpoint's width.
        """
        base, config = self.model.base_model, self.model.config
        ids, text_mask = tokens(batch, config.vocab_size, config.max_position_embeddings)
        found = base(
            input_ids=ids,
            attention_mask=text_mask.long(),
            visual_embeds=_features(batch, config.visual_embedding_dim, base.dtype),
            visual_attention_mask=batch.region_mask.long(),
            output_hidden_states=True,
            return_dict=True,
        )
        n = ids.shape[1]
        return Encoded(
            text_states=tuple(states[:, :n] for states in found.hidden_states),
            image_states=tuple(states[:, n:] for states in found.hidden_states),
            text_mask=text_mask,
            image_mask=batch.region_mask,
            pooled=found.pooler_output,
        )

    def word_logits(self, encoded: Encoded) -> Float[Tensor, "batch text vocab"]:
        """Of masked words."""
        return self.model.cls.predictions(encoded.text_states[-1])

    def match_logits(self, encoded: Encoded) -> Float[Tensor, "batch 2"]:
        """Of not belonging together (0) and belonging together (1).

        VisualBERT kept BERT's order, in which 0 says that the second part follows the first: turned round here.
        """
        return self.model.cls.seq_relationship(encoded.pooled).flip(-1)

    def places(self, batch: Batch) -> Places:
        """Words first, then regions."""
        text = _count(batch.ids)
        return Places(text, _each(batch), text, batch.ids.shape[1] + _count(batch.region_mask))

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions are words and which are regions; [CLS] and [SEP] count as words."""
        from crosslook.capture import Positions

        text, image = batch.text_mask, batch.region_mask
        joint_text = torch.cat([text, torch.zeros_like(image)], 1)
        return Positions(text, image, joint_text, torch.cat([torch.zeros_like(text), image], 1))


def _features(batch: Batch, width: int, dtype: torch.dtype) -> Float[Tensor, "batch region dim"]:
    got = None if batch.features is None else batch.features.shape[-1]
    if got != width:
        like = ", those of bottom-up attention (Anderson et al. 2018)" if width == 2048 else ""
        raise ValueError(
            f"batch: expected region features of width {width}, as this checkpoint was trained on{like}; "
            f"got {'none' if got is None else f'width {got}'}"
        )
    return batch.features.to(dtype)


def _count(like: Tensor) -> Tensor:
    """0, 1, 2, ... for each example, `(batch, n)`."""
    return torch.arange(like.shape[1], device=like.device).expand(len(like), -1)


def _each(batch: Batch) -> Bool[Tensor, "batch region image"]:
    """Each region is shown by the image position of its number, if it is there."""
    eye = torch.eye(batch.region_mask.shape[1], dtype=torch.bool, device=batch.region_mask.device)
    return eye & batch.region_mask[:, None]
