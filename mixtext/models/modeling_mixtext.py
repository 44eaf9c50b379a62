"""Trained models as Hugging Face classes, for `AutoModelFor…`, `pipeline` and whatever takes those.

Nothing is mixed here: after the training a model is an encoder with a head on it. The names of the
weights are `encoder.…`, as the transformer has them, and `head.…`. A model folder takes this file
along, see `configuration_mixtext.py`; hence the relative imports.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.modeling_outputs import (
    BaseModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from .configuration_mixtext import MixTextConfig
from .heads import POOLS, MlpHead


class MixTextModel(PreTrainedModel):
    """The encoder alone: `input_ids` (B, T) → `last_hidden_state` (B, T, H)."""

    config_class = MixTextConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True
    _keys_to_ignore_on_load_unexpected = [r"^head\."]  # noqa: RUF012
    config: Any

    def __init__(self, config: MixTextConfig) -> None:
        super().__init__(config)
        self._refuse_another_head(config.architectures or [])
        self.encoder = AutoModel.from_config(config.encoder_config)
        self.hidden = int(self.config.encoder_config.hidden_size)
        if type(self) is MixTextModel:
            self.post_init()

    def _refuse_another_head(self, made: list[str]) -> None:
        """Refuses weights of a model of another kind, beside which the head would be random.

        Args:
            made: the class that the configuration was saved with; empty: a new model.
        """
        kinds = [x for x in type(self).__mro__ if issubclass(x, MixTextModel)][:-1]
        if kinds and made and not {x.__name__ for x in kinds} & {*made}:
            raise ValueError(
                f"the model is a {made[0]}, which has no weights for the head of a "
                f"{kinds[-1].__name__}: load it for what it was trained for."
            )

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """The encoder's."""
        self.encoder.set_input_embeddings(value)

    def states(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The last states `(B, T, H)` and the mask that pooling goes by."""
        if not self.config.use_mask:
            attention_mask = None
        if (lacking := self.config.pad_to - input_ids.shape[1]) > 0:
            pad = self.config.encoder_config.pad_token_id or 0
            input_ids = F.pad(input_ids, (0, lacking), value=pad)
            if attention_mask is not None:
                attention_mask = F.pad(attention_mask, (0, lacking))
            if token_type_ids is not None:
                token_type_ids = F.pad(token_type_ids, (0, lacking))
        given: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        takes = inspect.signature(self.encoder.forward).parameters
        if token_type_ids is not None and "token_type_ids" in takes:
            given["token_type_ids"] = token_type_ids
        return self.encoder(**given).last_hidden_state, attention_mask

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **_: Any,
    ) -> Any:
        """The encoder's last states."""
        states, _mask = self.states(input_ids, attention_mask, token_type_ids)
        return BaseModelOutput(last_hidden_state=states)


class MixTextForSequenceClassification(MixTextModel):
    """Rows of texts or pairs → logits of classes `(B, C)` or, in regression, scores `(B, 1)`."""

    def __init__(self, config: MixTextConfig) -> None:
        super().__init__(config)
        self.head = MlpHead(self.hidden, self.config.num_labels, config.head_width)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> Any:
        """Logits and, with `labels` (classes int64, or scores), the loss."""
        states, mask = self.states(input_ids, attention_mask, token_type_ids)
        if self.config.pool == "pooler":
            pooled = self.encoder.pooler(states)
        else:
            pooled = POOLS[self.config.pool](states, mask)  # (B, T, H) → (B, H)
        logits = self.head(pooled)
        loss = None
        if labels is not None and self.config.problem_type == "regression":
            loss = F.mse_loss(logits.squeeze(1), labels.to(logits.dtype))
        elif labels is not None:
            loss = F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


class MixTextForTokenClassification(MixTextModel):
    """Rows of texts → logits of tags at every token, `(B, T, C)`; a word has its first token's."""

    def __init__(self, config: MixTextConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(self.hidden + config.cases, self.config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        case: Tensor | None = None,
        **_: Any,
    ) -> Any:
        """Logits and, with `labels` (int64, −100 where there is none), the loss.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T).
            token_type_ids: (B, T).
            labels: (B, T).
            case: the letter case of each token's word, int64 (B, T), where the head is told of it.
        """
        states, _mask = self.states(input_ids, attention_mask, token_type_ids)
        if self.config.cases:
            if case is None:
                raise ValueError(
                    "this tagger is told the letter case of words, which a tokenizer does not "
                    "give: use `mixtext predict`, or train it with model.case = false."
                )
            states = torch.cat([states, F.one_hot(case, self.config.cases).to(states.dtype)], -1)
        logits = self.head(states)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return TokenClassifierOutput(loss=loss, logits=logits)


MixTextConfig.register_for_auto_class()
MixTextModel.register_for_auto_class("AutoModel")
MixTextForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
MixTextForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
