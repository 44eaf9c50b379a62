"""A trained model as an ONNX file, also in int8, and that file as a model again.

onnx, onnxscript and onnxruntime are the extra `onnx`, imported where they are used.
"""

import inspect
import io
import logging
import warnings
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixtext.data.batches import Padded
from mixtext.errors import InputError
from mixtext.models.encoder import MixableEncoder
from mixtext.tagging.tagger import Tagger

FILE = "model.onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def refuse_without_packages() -> None:
    """Refuses to go on where a package that ONNX needs is not installed."""
    lacking = [name for name in PACKAGES if find_spec(name) is None]
    if lacking:
        raise InputError(
            f"--format onnx needs {', '.join(lacking)}: pip install {' '.join(lacking)}, or give "
            "--format safetensors."
        )


class Graph(nn.Module):
    """A model as a function of plain tensors, as an ONNX file has it.

    Attributes:
        names: of the inputs: `input_ids`, `attention_mask`, `token_type_ids`, int64 `(B, T)`, as
            far as the model looks at them; or `vectors`, float32 `(B, …)`.
    """

    def __init__(self, model: Any, pad_to: int, filler: int, types: bool) -> None:
        """Takes a classifier or a tagger.

        Args:
            model: in evaluation mode, on the CPU.
            pad_to: width that all rows are padded to; 0: as they are.
            filler: the id of the padding.
            types: the tokenizer gives segment ids.
        """
        super().__init__()
        self.model, self.pad_to, self.filler = model, pad_to, filler
        self.names = ["input_ids"]
        encoder = model.encoder
        if not encoder.takes_tokens:
            self.names = ["vectors"]
            return
        if getattr(model, "use_mask", True):
            self.names.append("attention_mask")
        if types and isinstance(encoder, MixableEncoder):
            parameters = inspect.signature(encoder.model.forward).parameters
            self.names += ["token_type_ids"] * ("token_type_ids" in parameters)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits `(B, C)`, of regression scores `(B, 1)`, of a tagger logits `(B, T, C)`."""
        if self.names == ["vectors"]:
            logits: Tensor = self.model(inputs[0])
            return logits
        given = dict(zip(self.names, inputs, strict=True))
        if self.pad_to:
            given = {
                name: F.pad(x, (0, self.pad_to), value=self.filler if name == "input_ids" else 0)[
                    :, : self.pad_to
                ]
                for name, x in given.items()
            }
        mask = given.get("attention_mask")
        rows = Padded(
            given["input_ids"], None if mask is None else mask.bool(), given.get("token_type_ids")
        )
        logits = self.model(rows)
        return logits

    def inputs(self, rows: Padded | Tensor) -> list[Tensor]:
        """What `forward` takes of a batch."""
        if isinstance(rows, Tensor):
            return [rows]
        mask = torch.ones_like(rows.ids) if rows.mask is None else rows.mask.long()
        types = torch.zeros_like(rows.ids) if rows.types is None else rows.types
        all_of_them = {"input_ids": rows.ids, "attention_mask": mask, "token_type_ids": types}
        return [all_of_them[name] for name in self.names]


def write_onnx(graph: Graph, rows: Padded | Tensor, path: Path) -> None:
    """Writes a model as an ONNX file; how many rows and tokens there are is left open.

    Args:
        graph: the model.
        rows: two rows at least, to follow through the model.
        path: the file.

    Raises:
        InputError: the model does something that ONNX cannot say.
    """
    open_axes = {0: torch.export.Dim.DYNAMIC}
    if graph.names != ["vectors"]:
        open_axes[1] = torch.export.Dim.DYNAMIC
    try:
        with _silence(), torch.no_grad():
            program = torch.onnx.export(
                graph,
                tuple(graph.inputs(rows)),
                dynamo=True,
                verbose=False,
                input_names=graph.names,
                output_names=["logits"],
                dynamic_shapes=(tuple(open_axes for _ in graph.names),),
            )
            assert program is not None
            program.save(path)
    except Exception as error:  # the exporter has a dozen kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        raise InputError(
            f"this model cannot be written as ONNX ({reason}): give --format safetensors."
        ) from error


def write_int8(path: Path) -> None:
    """Rounds the weights of an ONNX file to int8; what they are multiplied by, as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    rounded = path.with_suffix(".int8")
    with _silence():
        quantize_dynamic(path, rounded, weight_type=QuantType.QInt8)
    path.with_name(path.name + ".data").unlink(missing_ok=True)  # weights of a large model
    path.write_bytes(rounded.read_bytes())  # the folder itself is not in its place yet
    rounded.unlink()


class OnnxModel(nn.Module):
    """An ONNX file where a classifier or a tagger stands otherwise."""

    def __init__(self, path: Path, graph: Graph) -> None:
        """Opens the file that was written of `graph`."""
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.inputs, self.names = graph.inputs, graph.names
        self.head = graph.model.head  # tells how many outputs there are, and where: on the CPU

    def forward(self, rows: Padded | Tensor) -> Tensor:
        """As the model that the file was written of."""
        given = zip(self.names, self.inputs(rows), strict=True)
        [logits] = self.session.run(["logits"], {name: x.numpy() for name, x in given})
        return torch.from_numpy(np.asarray(logits))


def refuse_cases(model: Any) -> None:
    """Refuses a tagger that is told what no tokenizer gives."""
    if isinstance(model, Tagger) and model.case:
        raise InputError(
            "this tagger is told the letter case of words, which an ONNX file's caller does not "
            "have: give --format safetensors, or train with model.case=false."
        )


@contextmanager
def _silence() -> Any:
    """The exporter tells of its progress on standard output, and warns of itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
