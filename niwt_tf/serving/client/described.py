"""Classes that a request describes, in words or in numbers, as the signature `classify_with` takes them: K numbers each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from niwt_tf.data.descriptions.attribute_names import nearest_word
from niwt_tf.data.descriptions.attribute_parser import Synonyms
from niwt_tf.data.descriptions.new_classes import LEAST_UNDERSTOOD, DescribedClass, described_in_words, doubt_of
from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.descriptions import bundle_words, seen_knowledge


def read_texts(bundle: Bundle, texts: Mapping[str, str], synonyms: Synonyms | None = nearest_word) -> list[DescribedClass]:
    """Return the classes that texts describe, read as `niwt add_class` reads them.

    Raises:
        InputError: nothing of a text is understood, or the bundle has no words or no column formula.
    """
    bundle.check_formula()
    seen, words = seen_knowledge(bundle), bundle_words(bundle)
    classes = []
    for name, text in texts.items():
        try:
            classes.append(DescribedClass(name, described_in_words(text, seen, words, synonyms)))
        except InputError as error:
            raise InputError(f"{name!r}: {error}") from None
    return classes


def numbers_of(bundle: Bundle, classes: Sequence[DescribedClass]) -> dict[str, list[float]]:
    """Return the description of each class by its name, K numbers in the units in which requests give them."""
    scale = seen_knowledge(bundle).scale
    rows = {each.name: each.description.values for each in classes}
    return {name: (row if scale is None else scale.undone(row)).tolist() for name, row in rows.items()}


def in_numbers(
    bundle: Bundle, descriptions: Mapping[str, Sequence[float] | str], least_understood: float = LEAST_UNDERSTOOD
) -> dict[str, Sequence[float]]:
    """Return descriptions with numbers in the place of texts.

    Raises:
        InputError: less than that share of a text is understood, and all that `read_texts` raises.
    """
    classes = read_texts(bundle, {name: said for name, said in descriptions.items() if isinstance(said, str)})
    doubt = doubt_of(classes, least_understood)
    if doubt is not None:
        rule = f"descriptions must be understood to at least {least_understood:.0%}, or give a lower least_understood"
        raise InputError(f"{rule}. Received: {doubt.share} was understood{doubt.others}: {doubt.note}.")
    given = {name: said for name, said in descriptions.items() if not isinstance(said, str)}
    read: dict[str, Sequence[float]] = {**numbers_of(bundle, classes), **given}
    return {name: read[name] for name in descriptions}
