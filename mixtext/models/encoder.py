"""The mixable encoder: any Hugging Face encoder, with hidden states mixed at a chosen layer.

The mixing itself is `mix_states`. No model code is copied: hooks that live for one call reach into
the model between two of its blocks.
"""

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix, blend
from mixtext.models.base import Encoder, check_branches
from mixtext.models.dropout import hasten, register
from mixtext.models.parts import compute_apart, parts_of


def mix_states(states: Tensor, own: slice, partner: Tensor | slice, lam: Tensor) -> Tensor:
    """Mixes hidden states: h ← λ·h[own] + (1 − λ)·h[partner], `(R, T, H)` → `(B, T, H)`."""
    return blend(states[own], states[partner], lam)


class MixableEncoder(Encoder):
    """A Hugging Face encoder whose rows can be mixed at any layer (TMix, arXiv 2004.12239).

    Works with encoders whose blocks sit in one list, take `hidden_states` and `attention_mask`,
    and return the states (first): the families of BERT, RoBERTa, ELECTRA, DistilBERT, ModernBERT,
    MPNet, DeBERTa. DeBERTa wants right padding: its mask also hides queries, and the union of two
    such masks is the union of the texts only when one text's positions contain the other's.

    Attributes:
        model: the wrapped Hugging Face model.
        layers: number of blocks, L.
        hidden_size: width of the states, H.

    Raises:
        InputError: the model's blocks are not found, or work in a way that mixing would break.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        hasten(model)
        self.model = model
        # A name, not the list itself: a second reference would double every key of the state dict.
        self._blocks_name = _find_blocks(model)
        self.layers, self.hidden_size = len(self.blocks), int(self.config.hidden_size)
        self._live: _MixHooks | None = None  # the hooks of the forward that is running
        self._recomputes = self._watched = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickles, perhaps in another process than the one that has made it."""
        super().__setstate__(state)
        register()

    @property
    def blocks(self) -> nn.ModuleList:
        """The model's own list of transformer blocks."""
        blocks = self.model.get_submodule(self._blocks_name)
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    @property
    def max_tokens(self) -> int | None:
        """Tokens that a text may have, T at most; None where there is no bound."""
        longest: int | None = getattr(self.config, "max_position_embeddings", None)
        for name, part in self.model.named_modules():
            padding = getattr(part, "padding_idx", None)
            if longest and name.endswith("position_embeddings") and padding is not None:
                longest -= padding + 1  # RoBERTa's and MPNet's positions begin behind the padding's
        return longest or None

    def freeze(self, blocks: int) -> None:
        """Leaves the embeddings and the lowest blocks as they are; no gradient goes there.

        Nor does it go to what they share with blocks above (relative positions). There is no
        dropout in them, even in train mode: their states are the row's alone, and serve for all
        that is computed above, see `begin`.

        Args:
            blocks: how many of them, fewer than there are.

        Raises:
            InputError: no block would be left to train.
        """
        if blocks >= self.layers:
            raise InputError(
                f"model.freeze is {blocks}, but the encoder has {self.layers} layers: lower it, so "
                "that one is left to train, or set method to 'frozen'."
            )
        self.frozen = blocks
        for part in self._frozen_parts():
            for weights in part.parameters(recurse=False):
                weights.requires_grad_(False)
        self.train(self.training)

    def _frozen_parts(self) -> Iterator[nn.Module]:
        """All modules but the blocks above, what holds the blocks, and what follows them."""
        blocks = f"{self._blocks_name}."
        above = tuple(f"{blocks}{number}." for number in range(self.frozen, self.layers))
        for name, part in self.model.named_modules():
            holds = not name or blocks.startswith(f"{name}.")
            if not holds and not f"{name}.".startswith((*above, "final_norm.", "pooler.")):
                yield part

    def train(self, mode: bool = True) -> Self:
        """Train or eval mode; what is frozen stays in eval mode."""
        super().train(mode)
        if self.frozen:
            for part in self._frozen_parts():
                part.training = False
        return self

    @torch.no_grad()
    def begin(self, ids: Tensor, mask: Tensor | None, types: Tensor | None) -> Tensor | None:
        """States `(B, T, H)` of what is frozen, for `forward`.

        None where nothing is, or where what follows cannot begin with them: with recomputing, and
        with the convolution that some DeBERTas have beside their first block.
        """
        if not self.frozen or self._recomputes or self._has_convolution():
            return None
        return self._reach(self.frozen, ids, mask, types, None)

    @property
    def pads_alike(self) -> bool:
        """Whether states at a row's padding are the same however wide its batch is.

        DeBERTa's padding attends to padding, so that its states change with the width.
        """
        return "deberta" not in self.config.model_type

    @property
    def pooler(self) -> nn.Module | None:
        """The model's own pooler, `(B, T, H)` → `(B, H)`; None where it has none."""
        pooler = getattr(self.model, "pooler", None)
        return pooler if isinstance(pooler, nn.Module) else None

    @property
    def config(self) -> Any:
        """The wrapped model's configuration."""
        return self.model.config

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        mix: Mix | None = None,
        layer: int | None = None,
        types: Tensor | None = None,
        branches: str = "shared",
        states: Tensor | None = None,
        apart: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Encodes a batch; with `mix`, every row is mixed with its partner at `layer`.

        Up to `layer` each row sees its own mask, above it the union of both rows' masks: where the
        partner is longer, even λ = 1 lets a row see positions that only its partner has.

        Args:
            ids: token ids, int64, `(B, T)`.
            mask: 1 or True where there is a token, `(B, T)`; None attends everywhere.
            mix: who mixes with whom and by how much; None encodes plainly and ignores `layer`.
            layer: where to mix, 0 (the embeddings' output) to L (the last block's output).
            types: segment ids, `(B, T)`; ignored by a model that has no segments.
            branches: "shared" runs the trunk once and gathers the partner's states: half the work,
                but a row that serves twice carries the same dropout. "independent" gives
                each partner its own dropout, as the official code does. Equal without dropout.
            states: what `begin` made of the rows; unused where `layer` is among what is frozen.
            apart: long and short rows that mix may be tensors of their own, where that takes less
                time: the same but for what stands where there is no token, which is then 0.

        Returns:
            States `(B, T, H)`, and their mask `(B, T)`: the union after a mix, None without one.

        Raises:
            InputError: no such layer, no such kind of branches, or `mix` does not fit the batch.
        """
        if mix is None:
            return self._run(ids, mask, types, states), mask
        check_branches(branches)
        layer = self.check_mix(len(ids), mix, layer)
        mix = mix.to(ids.device)
        if layer < self.frozen:
            states = None
        rows = len(mix.partner)
        own, partner = slice(0, rows), mix.partner
        union = None if mask is None else torch.maximum(mask[own], mask[partner])  # (B, T)
        met: Tensor | slice = partner
        if branches == "independent":
            both = torch.cat([torch.arange(rows, device=ids.device), partner])  # (2B,)
            ids = ids[both]
            mask = None if mask is None else mask[both]
            types = None if types is None else types[both]
            states = None if states is None else states[both]
            met = slice(rows, 2 * rows)
        if apart and union is not None and self._can_part(ids, layer):
            below, above = parts_of(union, met, len(ids))
            if len(below) + len(above) > 2:
                reach, run = partial(self._reach, layer), partial(self._run, first=layer)
                trunk = compute_apart(below, [ids, mask, types, states], reach)
                mixed = mix_states(trunk, own, met, mix.lam)  # (B, T, H)
                return compute_apart(above, [ids, union, types, mixed], run), union
        self._live = _MixHooks(self.blocks, layer, own, met, mix.lam)
        try:
            # Blocks begin with `states` first of all, and mix what they begin with.
            with self._beginning_with(states, self.frozen), self._live:
                return self._run(ids, mask, types), union  # (B, T, H), (B, T)
        finally:
            self._live = None

    def _can_part(self, ids: Tensor, layer: int) -> bool:
        """Whether rows can be put apart, in less time: not on a GPU, nor at either end."""
        plain = self.pads_alike and not (self._recomputes or self._watched)
        return plain and ids.is_cpu and 0 < layer < self.layers

    def _reach(
        self,
        layer: int,
        ids: Tensor,
        mask: Tensor | None,
        types: Tensor | None,
        states: Tensor | None,
    ) -> Tensor:
        """The states `(B, T, H)` that block `layer` begins with; nothing is run from there on."""
        block = self.blocks[layer]
        with self._beginning_with(states, self.frozen):
            stop = block.register_forward_pre_hook(_reach, with_kwargs=True)
            try:
                self._run(ids, mask, types)
            except _Reached as reached:
                return reached.states
            finally:
                stop.remove()
        raise AssertionError(f"block {layer} was not run")

    def _run(
        self,
        ids: Tensor,
        mask: Tensor | None,
        types: Tensor | None,
        states: Tensor | None = None,
        first: int | None = None,
    ) -> Tensor:
        """The last states; of `states`, where given, from block `first` on (None: the frozen)."""
        kwargs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "return_dict": True}
        if types is not None and "token_type_ids" in _parameters(self.model):
            kwargs["token_type_ids"] = types
        with self._beginning_with(states, self.frozen if first is None else first):
            last: Tensor = self.model(**kwargs).last_hidden_state
        return last

    @contextmanager
    def _beginning_with(self, states: Tensor | None, first: int) -> Iterator[None]:
        """Leaves the blocks below `first` out, which is handed `states`; does nothing for None."""
        if states is None:
            yield
            return
        path, _, name = self._blocks_name.rpartition(".")
        parent, blocks = self.model.get_submodule(path), self.blocks

        def hand(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
            call = inspect.signature(block.forward).bind(*args, **kwargs)
            call.arguments["hidden_states"] = states
            return call.args, call.kwargs

        handle = blocks[first].register_forward_pre_hook(hand, with_kwargs=True)
        setattr(parent, name, blocks[first:])
        try:
            yield
        finally:
            setattr(parent, name, blocks)
            handle.remove()

    def _has_convolution(self) -> bool:
        kind, kernel = self.config.model_type, getattr(self.config, "conv_kernel_size", 0)
        return bool(kind == "deberta-v2" and kernel)

    def check_mix(self, rows: int, mix: Mix, layer: int | None) -> int:
        """As in `Encoder`."""
        layer = super().check_mix(rows, mix, layer)
        # DeBERTa's convolution reads the embeddings a second time, behind block 0 and out of a
        # block hook's sight: a mix beside it would reach only one of its two inputs.
        if self._has_convolution() and (layer == 0 or self.layers == 1):
            raise InputError(
                f"Cannot mix at layer {layer}: this DeBERTa encoder has a convolution "
                f"(conv_kernel_size = {self.config.conv_kernel_size}) beside its first block; "
                "choose a higher layer."
            )
        return layer

    @contextmanager
    def watch(self) -> Iterator[list[Tensor]]:
        """Shows the embeddings' output, layer 0, for the gradient of a loss by it (SSMix).

        Yields:
            A list; each forward inside appends its `(B, T, H)`, before any mix, with a gradient to
            be had by it even where the embeddings are frozen.
        """
        seen: list[Tensor] = []

        def look(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
            call = inspect.signature(block.forward).bind(*args, **kwargs)
            states = call.arguments["hidden_states"]
            if not states.requires_grad:
                states = call.arguments["hidden_states"] = states.detach().requires_grad_()
            seen.append(states)
            return call.args, call.kwargs

        handle = self.blocks[0].register_forward_pre_hook(look, with_kwargs=True)
        self._watched = True
        try:
            yield seen
        finally:
            self._watched = False
            handle.remove()

    def enable_gradient_checkpointing(self) -> None:
        """As in `Encoder`."""
        settings = {"use_reentrant": False, "context_fn": self._checkpoint_contexts}
        # Newer versions of transformers 5 warn of the older name, older ones lack the newer.
        model: Any = self.model
        enable = getattr(model, "activation_checkpointing_enable", None)
        try:
            (enable or model.gradient_checkpointing_enable)(settings)
        except ValueError as error:
            name = type(self.model).__name__
            raise InputError(f"{name} does not support gradient checkpointing.") from error
        self._recomputes = True

    def _checkpoint_contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        # Earlier versions of transformers 5 recompute a block with its hooks. By then the hooks of
        # the forward are gone, so the recompute brings them back. Later versions recompute what is
        # inside the hooks, and these stay silent.
        return nullcontext(), self._live or nullcontext()


class _Reached(Exception):
    """Carries the states that a block is handed out of the model, whose rest is not run."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def _reach(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
    call = inspect.signature(block.forward).bind(*args, **kwargs)
    raise _Reached(call.arguments["hidden_states"])


class _MixHooks:
    """The hooks of one mixed forward; live inside `with`, which may be entered again.

    Args:
        blocks: the model's blocks, of which those from `layer` upward get a hook.
        layer: where to mix, 0..L.
        own: the rows of the trunk that are kept, B of them.
        partner: the rows of the trunk that they mix with, B of them.
        lam: weight of the own row, `()` or `(B,)`.
    """

    def __init__(
        self,
        blocks: nn.ModuleList,
        layer: int,
        own: slice,
        partner: Tensor | slice,
        lam: Tensor,
    ) -> None:
        self.blocks, self.layer = blocks, layer
        self.own, self.partner, self.lam = own, partner, lam
        self.handles: list[RemovableHandle] = []

    def __enter__(self) -> None:
        for number in range(self.layer, len(self.blocks)):
            hook = partial(self.enter_block, first=number == self.layer)
            block = self.blocks[number]
            self.handles.append(block.register_forward_pre_hook(hook, with_kwargs=True))
        if self.layer == len(self.blocks):  # no block follows, so mix what the last one returns
            self.handles.append(self.blocks[-1].register_forward_hook(self.leave_last_block))

    def __exit__(self, *error: object) -> None:
        while self.handles:
            self.handles.pop().remove()

    def mix(self, states: Tensor) -> Tensor:
        """Mixes `(R, T, H)` → `(B, T, H)`."""
        return mix_states(states, self.own, self.partner, self.lam)

    def unite_masks(self, mask: Tensor) -> Tensor:
        """Union of both rows' masks, as the block gets them: boolean, 0/1, or 0/−∞.

        A mask of one row serves the whole batch and stays as it is.
        """
        if len(mask) == 1:
            return mask
        return torch.maximum(mask[self.own], mask[self.partner])  # (B, 1, 1 or T, T)

    def enter_block(
        self, block: nn.Module, args: tuple, kwargs: dict[str, Any], first: bool
    ) -> tuple[tuple, dict[str, Any]]:
        """Changes the arguments of a block above the mix; of the `first`, also the states.

        The model hands every block the masks it prepared for the unmixed rows.
        """
        call = inspect.signature(block.forward).bind(*args, **kwargs)
        given = call.arguments
        if first:
            given["hidden_states"] = self.mix(given["hidden_states"])  # (B, T, H)
        if (mask := given.get("attention_mask")) is not None:
            if not isinstance(mask, Tensor):
                raise InputError(
                    f"Cannot mix with masks of type {type(mask).__name__}: "
                    'load the encoder with attn_implementation="sdpa".'
                )
            given["attention_mask"] = self.unite_masks(mask)
        # MPNet's relative positions: one copy a row, all alike. Other families share one copy.
        if (bias := given.get("position_bias")) is not None:
            given["position_bias"] = bias[self.own]
        return call.args, call.kwargs

    def leave_last_block(self, block: nn.Module, args: tuple, output: Any) -> Any:
        """Mixes what the last block returns: the states, or a tuple that begins with them."""
        if isinstance(output, tuple):
            return self.mix(output[0]), *output[1:]
        return self.mix(output)


def _parameters(module: nn.Module) -> tuple[str, ...]:
    return tuple(inspect.signature(module.forward).parameters)


def _find_blocks(model: nn.Module) -> str:
    """Name of the module list that holds the transformer blocks.

    Raises:
        InputError: there is no such list, or more than one, or mixing would break its blocks.
    """
    name, config = type(model).__name__, getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"Cannot mix in {name}: it has a decoder too; choose another encoder.")
    layers = getattr(config, "num_hidden_layers", None)
    found: list[str] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(outer + ".") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) == layers and not inside:
            found.append(path)
    if len(found) != 1:
        raise InputError(
            f"Cannot mix in {name}: it has {len(found)} lists of {layers} blocks, where an encoder "
            "has exactly one (its num_hidden_layers); choose another encoder."
        )
    block = model.get_submodule(found[0])[0]  # type: ignore[index]
    takes = _parameters(block)
    # A mask that we would not unite (Longformer, BigBird) or one hidden in a bias that a block
    # computes for the blocks above (T5) would make a mix silently wrong.
    strange = [p for p in takes if p.endswith(("mask", "masked")) and p not in _MASKS]
    strange += [p for p in ("hidden_states", "attention_mask") if p not in takes]
    if strange or any(hasattr(m, "has_relative_attention_bias") for m in block.modules()):
        raise InputError(
            f"Cannot mix in {name}: its blocks handle masks in their own way "
            f"({', '.join(strange) or 'inside the position bias'}); choose another encoder."
        )
    return found[0]


# The first is united; an encoder leaves the others empty.
_MASKS = ("attention_mask", "encoder_attention_mask", "head_mask", "layer_head_mask")
