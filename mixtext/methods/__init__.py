"""The methods by name. Each is one file; read it beside its paper."""

from mixtext.methods.base import Method
from mixtext.methods.centroids import Centroids
from mixtext.methods.embed_mix import EmbedMix
from mixtext.methods.fixmatch import FixMatch
from mixtext.methods.frozen import Frozen
from mixtext.methods.label_spreading import LabelSpreading
from mixtext.methods.manifold_mixup import ManifoldMixup
from mixtext.methods.mean_teacher import MeanTeacher
from mixtext.methods.mixtext import MixText
from mixtext.methods.mixup import Mixup
from mixtext.methods.mixup_transformer import MixupTransformer
from mixtext.methods.pseudo_label import PseudoLabel
from mixtext.methods.sentence_mixup import SentenceMixup
from mixtext.methods.softmatch import SoftMatch
from mixtext.methods.ssmix import SSMix
from mixtext.methods.supervised import Supervised
from mixtext.methods.tmix import TMix
from mixtext.methods.uda import UDA
from mixtext.methods.unk_mix import UnkMix
from mixtext.methods.word_mixup import WordMixup

_ALL = (
    Supervised,
    Mixup,
    WordMixup,
    SentenceMixup,
    ManifoldMixup,
    MixupTransformer,
    TMix,
    MixText,
    PseudoLabel,
    MeanTeacher,
    UDA,
    FixMatch,
    SoftMatch,
    Frozen,
    Centroids,
    LabelSpreading,
    SSMix,
    EmbedMix,
    UnkMix,
)
METHODS: dict[str, type[Method]] = {method.name: method for method in _ALL}
