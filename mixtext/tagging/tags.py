"""Tag schemes: BIO, IOB1, BIOES, BILOU and IO, checked and turned into BIO.

words   Foreign  Ministry  Paris  London  agree
BIO     B-ORG    I-ORG     B-LOC  B-LOC   O
IOB1    I-ORG    I-ORG     I-LOC  B-LOC   O      B- only between neighbours of one type
BIOES   B-ORG    E-ORG     S-LOC  S-LOC   O
BILOU   B-ORG    L-ORG     U-LOC  U-LOC   O
IO      ORG      ORG       LOC    LOC     O      types alone: neighbours of one type are one entity

In all but IO a prefix may stand alone, as in B I O: the type is then called ENTITY.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from mixtext.errors import InputError

Scheme = Literal["bio", "iob1", "bioes", "bilou", "io"]
OnFault = Literal["repair", "refuse"]
OUTSIDE = "O"
ZERO = "0"  # often written for it
NAMELESS = "ENTITY"  # the type where tags name none
_AS_BIOES = {"L": "E", "U": "S"}
PREFIXES = {"bio": "BI", "iob1": "BI", "bioes": "BIES", "bilou": "BILU", "io": ""}


class Fault(NamedTuple):
    """A tag that its scheme does not allow where it stands.

    Attributes:
        position: which token of the sentence, from 0.
        reason: what is wrong, as a part of a sentence.
    """

    position: int
    reason: str


def split_tag(tag: str, scheme: Scheme) -> tuple[str, str]:
    """Prefix and type of a tag.

    `B-PER` → `("B", "PER")`, `B` → `("B", "ENTITY")`, `O` → `("O", "")`, and in IO `PER` →
    `("I", "PER")`.

    Raises:
        InputError: no such scheme, or the scheme has no such tag.
    """
    if scheme not in get_args(Scheme):
        raise InputError(f"there is no tag scheme {scheme!r}: use bio, iob1, bioes, bilou or io.")
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    known = tuple(PREFIXES[scheme])
    if tag in known:
        return tag, NAMELESS
    if tag == ZERO:
        raise InputError("the tag '0' is the digit zero: write the letter O for no entity.")
    if scheme == "io" and not (dash and {prefix.upper(), kind.upper()} & {*"BIELSU"}):
        return "I", tag
    if not dash or not kind or prefix not in known:
        allowed = ", ".join(f"{letter}-TYPE" for letter in known) or "TYPE"
        raise InputError(f"the tag {tag!r} is not one of the scheme {scheme} (O, {allowed}).")
    return prefix, kind


def scheme_of(tags: Collection[str]) -> Scheme | None:
    """The first scheme that has all of these tags; IO, which has nearly any, if O is among them."""
    for scheme in get_args(Scheme):
        try:
            for tag in tags:
                split_tag(tag, scheme)
        except InputError:
            continue
        return scheme if scheme != "io" or OUTSIDE in tags else None
    return None


def to_bio(tags: Sequence[str], scheme: Scheme) -> tuple[list[str], list[Fault]]:
    """One sentence's tags as BIO, and what was at fault in them.

    A fault is repaired as the CoNLL scorer reads it: a tag that cannot go on an entity begins one.
    A BIOES or BILOU entity that is not closed is at fault once, at its last token.

    Raises:
        InputError: a tag that the scheme does not have.
    """
    bio: list[str] = []
    faults: list[Fault] = []
    before, kind_before = OUTSIDE, ""
    closes = scheme in ("bioes", "bilou")  # the last word of an entity has a prefix of its own
    for position, tag in enumerate(tags):
        prefix, kind = split_tag(tag, scheme)
        prefix = _AS_BIOES.get(prefix, prefix)
        open_before = before in ("B", "I")  # in BIO and IOB1: there is an entity to go on with
        goes_on = prefix in ("I", "E") and open_before and kind == kind_before
        if closes and open_before and not goes_on:
            faults.append(Fault(position - 1, f"{before}-{kind_before} leaves its entity open"))
        if prefix in ("I", "E") and not goes_on and scheme not in ("iob1", "io"):
            faults.append(Fault(position, f"{tag} begins an entity"))
        if scheme == "iob1" and prefix == "B" and not (open_before and kind == kind_before):
            faults.append(Fault(position, f"{tag} does not follow an entity of its type"))
        bio.append(OUTSIDE if prefix == OUTSIDE else f"{'I' if goes_on else 'B'}-{kind}")
        before, kind_before = prefix, kind
    if closes and before in ("B", "I"):
        faults.append(Fault(len(tags) - 1, f"{before}-{kind_before} leaves its entity open"))
    return bio, faults


def bio_names(kinds: Iterable[str]) -> list[str]:
    """The BIO tags of some entity types, O first: `["O", "B-LOC", "I-LOC", "B-PER", …]`."""
    return [OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted({*kinds}) for prefix in "BI")]


def kinds_of(tag_names: Sequence[str]) -> list[str]:
    """The entity types of BIO tag names, sorted."""
    return sorted({name.partition("-")[2] for name in tag_names if name != OUTSIDE})
