"""The recipe of a tagger: of plain training, and of the rounds of active learning.

task = "tagging"
name = "conll"
method = "seqmix"       # or "supervised": the same without generated sentences

[data]                  # TagDataSettings
[model]                 # TaggerSettings
[training]              # TrainingSettings
[active]                # ActiveSettings: of `mixtext active run` alone
[seqmix]                # SeqMix; waits where method = "supervised"
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mixtext.errors import InputError
from mixtext.methods.base import MethodOf
from mixtext.recipe import AnyRecipe
from mixtext.settings import refuse_unheard
from mixtext.tagging.data import TagDataSettings
from mixtext.tagging.seqmix import METHODS, PlainTagging, SeqMix
from mixtext.tagging.settings import ActiveSettings, TaggerSettings
from mixtext.training.settings import TrainingSettings

# Settings of the loop that no tagger hears, and why.
UNHEARD = {
    "batch_unlabelled": "taggers learn from labelled sentences alone",
    "by_length": "taggers always put sentences of like length into a batch",
    "select": "taggers are selected by F1",
    "score_labelled": "taggers are scored on dev and test alone",
}


@dataclass(frozen=True)
class TaggingRecipe(AnyRecipe):
    """Everything about a run of the task `tagging`.

    Attributes:
        name: see `AnyRecipe`.
        method: `seqmix` adds generated sentences, `supervised` does not.
        data: the sentences.
        model: the tagger.
        training: the loop.
        active: the rounds of active learning.
    """

    task: ClassVar[str] = "tagging"
    methods: ClassVar[Mapping[str, type[MethodOf]]] = METHODS

    method: PlainTagging = field(default_factory=PlainTagging)
    data: TagDataSettings = field(default_factory=TagDataSettings)
    model: TaggerSettings = field(default_factory=TaggerSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    active: ActiveSettings = field(default_factory=ActiveSettings)

    def __post_init__(self) -> None:
        """Refuses what contradicts itself between tables, or is not heard."""
        super().__post_init__()
        data, training = self.data, self.training
        if not data.corpus:
            raise InputError("data.corpus is empty: name a CoNLL file of training sentences.")
        for name, because in UNHEARD.items():
            refuse_unheard(training, [name], because, "")
        if training.patience and not data.dev:
            raise InputError(
                f"training.patience is {training.patience} but data.dev is empty: early "
                "stopping needs a dev set; name one or set the other to 0."
            )
        if training.test_at_every_tie and not (data.dev and data.test):
            lacks = "test" if data.dev else "dev"
            raise InputError(
                f"training.test_at_every_tie is true but data.{lacks} is empty: name a file, or "
                "set the other to false."
            )

    @property
    def mixing(self) -> SeqMix:
        """SeqMix's settings, with a rate of 0 where nothing is to be generated."""
        return self.method if isinstance(self.method, SeqMix) else SeqMix(rate=0.0)
