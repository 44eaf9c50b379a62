"""What a MixText model is made of, as Hugging Face's configuration.

A model folder takes this file along, with `modeling_mixtext.py` and `heads.py`, so that it loads
where mixtext is not installed: the three import torch, transformers and each other alone.
"""

from typing import Any, ClassVar

from transformers import AutoConfig, PretrainedConfig


class MixTextConfig(PretrainedConfig):
    """Configuration of `MixTextForSequenceClassification` and `MixTextForTokenClassification`.

    Args:
        encoder_config: the transformer's own configuration, or its `to_dict()`.
        pool: how a text's states become one vector, see `POOLS`; `pooler`: the transformer's own.
        use_mask: False attends to and averages over the padding too.
        pad_to: pad rows to so many tokens at least; 0: not.
        head_width: width of the head's hidden layer; 0: the head is one affine layer.
        cases: kinds of letter case that a tagger's head is told of; 0: none.
    """

    model_type = "mixtext"
    sub_configs: ClassVar = {"encoder_config": AutoConfig}

    def __init__(
        self,
        encoder_config: PretrainedConfig | dict[str, Any] | None = None,
        pool: str = "mean",
        use_mask: bool = True,
        pad_to: int = 0,
        head_width: int = 128,
        cases: int = 0,
        **settings: Any,
    ) -> None:
        if isinstance(encoder_config, dict):
            values = dict(encoder_config)
            encoder_config = AutoConfig.for_model(values.pop("model_type"), **values)
        self.encoder_config = encoder_config
        self.pool = pool
        self.use_mask = use_mask
        self.pad_to = pad_to
        self.head_width = head_width
        self.cases = cases
        super().__init__(**settings)
