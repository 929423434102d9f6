"""What the segments of a text say of attributes, found by the words of these' names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

from niwt_tf.data.descriptions.attribute_names import (
    ASPECTS,
    BARE,
    COLORS,
    GENERIC,
    GROWING,
    OF_MARKS,
    OVERALL,
    PARTS,
    PATTERNS,
    RESISTING,
    SIZES,
    WHOLE,
    AttributeName,
    BySubject,
    is_hue,
    loose_spans,
    named_by_subject,
    spans,
)
from niwt_tf.data.descriptions.doubts import leave_doubtful, read_of_parts
from niwt_tf.data.descriptions.read_segments import (
    Claim,
    ReadSegment,
    Subject,
    find_subjects,
    is_of_another,
    is_of_marks,
    leave_aspects,
    marks_follow,
    nearest,
    parted,
    read_counts,
    read_measures,
    things_in,
    values_in,
)
from niwt_tf.data.descriptions.sentences import CLASS, DENIED, OTHERS, PARTLY, SAID, UNREAL, sentences, stem

# Subjects that a text speaks of, in its order, each with its segment.
_Spoken = list[tuple[ReadSegment, Subject]]


def claims_of(text: str, names: Sequence[AttributeName]) -> list[ReadSegment]:
    """Return the segments of a text with what they say."""
    by_subject = named_by_subject(names)
    plain = [name for name in names if not name.subject and not name.unit]
    measured = [name for name in names if name.unit]
    own = frozenset(stem(word) for name in names for phrase in name.phrases for word in phrase)
    result: list[ReadSegment] = []
    spoken: _Spoken = []
    for segments in sentences(text, own):
        found = [ReadSegment(segment) for segment in segments]
        for one in found:
            read_counts(found, one, plain)
            _read_plain(one, plain)
        _read_labels(found, plain)
        _read_adjectives(found, plain)
        for one in found:
            find_subjects(one, by_subject)
            one.things = things_in(one, by_subject)
        for before, one in pairwise(found):
            if one.segment.joint == "with":  # "a bill with a hooked shape"
                leave_aspects(one, before.subjects, by_subject)
            # "unlike the breast, which is red"
            if before.segment.joint == "unlike" and before.subjects and one.segment.relative:
                one.segment = replace(one.segment, about=CLASS)
        last = next((one for one in reversed(result) if one.subjects), None)
        for place in range(len(found)):
            _read_values(found, place, by_subject, last, spoken)
        spoken = [(one, each) for one in found for each in sorted(one.subjects)] or spoken
        for place in range(len(found)):
            read_of_parts(found, place, names)
            _read_shared(found, place, by_subject)
            _read_shared_ahead(found, place, by_subject)
            _read_echo([*result, *found], len(result) + place, by_subject)
        for place in range(len(found)):
            _read_alone(found, place, by_subject)
        _read_exceptions(found, by_subject)
        read_measures(found, measured)
        leave_doubtful(found, names)
        result += found
    return result


def _read_plain(one: ReadSegment, names: Sequence[AttributeName]) -> None:
    heads = {stem(phrase[-1]) for name in names for phrase in name.phrases} - COLORS - PATTERNS - SIZES
    opposed = [(name, phrase) for name in names for phrase in name.opposites]
    # Longest first, words of another attribute before the contrary of one.
    candidates: list[tuple[int, int, int, bool, bool]] = []
    for name in names:
        for phrase in name.phrases:
            candidates += [(begin, end, name.place, False, False) for begin, end in spans(one.segment, phrase)]
            for begin, end in loose_spans(one.segment, phrase):
                if end - begin < 3 or one.segment.words[begin + 1].stem not in heads:
                    candidates.append((begin, end, name.place, end - begin == 3, False))
    candidates += [(b, e, name.place, False, True) for name, phrase in opposed for b, e in spans(one.segment, phrase)]
    counted = {name.place for name in names if name.counts}
    for begin, end, place, apart, contrary in sorted(candidates, key=lambda span: (span[0] - span[1], span[4], span)):
        own = {begin, end - 1} if apart else set(range(begin, end))
        after = one.segment.words[end].stem if end < len(one.segment.words) else ""
        if after in RESISTING or (after in GROWING and one.segment.words[begin].stem not in COLORS):  # "water plants"
            continue
        if own & one.read or all(word.compared for word in one.segment.words[begin:end]) or place in counted:
            continue
        degree = max((one.segment.words[k].degree for k in (begin, end - 1)), key=(SAID, PARTLY, DENIED).index)
        if contrary:
            degree = {SAID: DENIED, DENIED: SAID}.get(degree, degree)
        one.claims.append(Claim(place, degree, begin, end, about=one.segment.about))
        one.read |= own


def _read_labels(found: Sequence[ReadSegment], names: Sequence[AttributeName]) -> None:
    """Read "tail: long" and "ears: long, pointed" for attributes that are called "long tail" and "pointed ears"."""
    label: ReadSegment | None = None
    end, stated = 0, False  # of the label's words; whether it is one of "ears are erect and pointed"
    for before, one in pairwise(found):
        counted = any(word.quantity for word in one.segment.words)
        if one.segment.joint == ":" or (one.segment.relative and one.segment.predicate):  # "a tail that is long"
            if any(word.quantity is None for word in before.segment.words) or label is None:
                label, end, stated = before, len(before.segment.words), False
        elif not one.segment.lists or (one.segment.copula and not one.segment.predicate):
            label = None
        elif label is None and (counted or before.segment.copula):
            apart = (k for k, word in enumerate(before.segment.words) if word.after_copula)
            label, end, stated = before, len(before.segment.words) if counted else next(apart, 0), not counted
        if label is None or not end:
            continue
        stems = tuple(word.stem for word in label.segment.words[:end])
        for k, word in enumerate(one.segment.words):
            if stated and k + 1 < len(one.segment.words):
                continue  # "the tail is bushy and long whiskers grow"
            for name in names:
                phrases = [tuple(map(stem, phrase)) for phrase in name.phrases]
                if k not in one.read and {(word.stem, *stems), (*stems, word.stem)} & set(phrases):
                    one.claim(name.place, k, k + 1, degree=word.degree)
                    label.read |= set(range(end))


def _read_adjectives(found: Sequence[ReadSegment], names: Sequence[AttributeName]) -> None:
    """Read "a long, brown tail" and "a long and brown tail" for an attribute that is called "long tail"."""
    for place, one in enumerate(found[:-1]):
        listed = list(takewhile(lambda other: other.segment.lists and not other.segment.copula, found[place + 1 :]))
        # The noun ends the list; the others are adjectives alone.
        with_noun = next((other for other in listed if len(other.segment.words) > 1), None)
        if with_noun is None or one.segment.copula or not one.segment.words or one.segment.words[-1].compared:
            continue
        last, noun = len(one.segment.words) - 1, with_noun.segment.words[-1].stem
        word = one.segment.words[last]
        for name in names:
            if last not in one.read and word.stem + noun in ["".join(map(stem, phrase)) for phrase in name.phrases]:
                one.claim(name.place, last, last + 1, degree=word.degree)
                with_noun.read |= {len(with_noun.segment.words) - 1}


def _read_values(
    found: Sequence[ReadSegment], place: int, by_subject: BySubject, last: ReadSegment | None, spoken: _Spoken
) -> None:
    """Read the values of a segment's subjects.

    `last` has those of the sentence before, for "its pattern is solid", as has `spoken`, for "some have a red one".
    """
    one = found[place]
    lender = None
    if place and all(set(subject) <= ASPECTS and not values_in(one, by_subject[subject]) for _, _, subject in one.subjects):
        one.subjects = []  # "the bill is short, and cone-shaped", where there is an attribute of the whole shape
    if one.subjects:
        own, subjects = [name for _, _, subject in one.subjects for name in by_subject[subject]], one.subjects
    else:
        lender = _lender(found, place, by_subject)
        told = found[place - 1] if place and one.segment.joint == ":" else one  # "colour: black"
        if one.segment.one:
            lender = _stood_for(found, place, spoken)
            last = None
        if lender is None and last is not None and any(word.stem in ASPECTS for word in told.segment.words):
            lender = last, last.subjects[-1][2]
        if lender is None and last is not None and not place and _goes_on(one, last, by_subject[last.subjects[-1][2]]):
            lender = last, last.subjects[-1][2]
        own, subjects = ([], []) if lender is None else (by_subject[lender[1]], [(-1, -1, lender[1])])
    values = [value for value in values_in(one, own) if not (value[1] in one.things and is_hue(value[2]))]  # "a white eyering"
    values = [value for value in values if not is_of_marks(one, value[1], value[2])]
    value_first = bool(one.subjects and values) and min(begin for begin, _, _ in values) < min(b for b, _, _ in subjects)
    words = {word.stem for word in one.segment.words}
    for begin, end, name in values:
        # A value may hold another subject's word: "the bill is the same as the head".
        outside = [subject for subject in subjects if subject[1] <= begin or end <= subject[0]]
        apart = value_first and all(parted(one, end, b) for b, _, _ in outside)
        if not outside or apart or nearest(outside, begin, end, value_first) != name.subject:
            continue
        same = {aspect for b, _, other in values if b == begin and other.subject == name.subject for aspect in other.aspects}
        if same & words and not name.aspects & words:
            continue
        one.claim(name.place, begin, end, name.subject)
        one.read |= {k for k, word in enumerate(one.segment.words) if word.stem in ASPECTS}
        named = one if one.subjects or lender is None else lender[0]
        named.read |= {k for b, e, subject in named.subjects if subject == name.subject for k in range(b, e)}


def _stood_for(found: Sequence[ReadSegment], place: int, spoken: _Spoken) -> tuple[ReadSegment, tuple[str, ...]] | None:
    """Return what "one", "the latter" and the like stand for, or None where that is not certain."""
    word = found[place].segment.one
    heads = (one for one in found[:place] if word != "thatone" or one.segment.joint != "with")  # "a boot with a sole, in red"
    own = [(one, each) for one in heads for each in sorted(one.subjects)] or spoken
    if word in ("former", "latter"):
        meant = own[-2:] if len({subject for _, (_, _, subject) in own}) > 1 else []
        meant = meant[:1] if word == "former" else meant[-1:]
    elif word != "there" and len({subject for _, (_, _, subject) in own}) > 1:
        meant = [(one, each) for one, each in own if one.segment.words[each[1] - 1].text.endswith("s") == (word == "ones")]
    else:
        meant = own
    one_of = {each[2] for _, each in meant}
    found[place].read |= {k for k, each in enumerate(found[place].segment.words) if meant and each.text == word}
    return (meant[-1][0], meant[-1][1][2]) if len(one_of) == 1 else None


def _goes_on(one: ReadSegment, last: ReadSegment, names: Sequence[AttributeName]) -> bool:
    """Return whether a sentence says what the last subject is: "the crown is not red; it is blue", "never red; blue"."""
    if all(word.degree == DENIED for word in one.segment.words) and not one.claims and _lists_values(one, names):
        return True  # "crown: blue; not red"
    denied = bool(last.claims) and all(claim.degree == DENIED for claim in last.claims)
    # Of pronoun, denial and semicolon two are enough.
    now_and_then = all(word.degree == PARTLY for word in one.segment.words)  # "crown green; sometimes yellow"
    asked = last.segment.about == UNREAL  # "is its crown red or blue? it is blue"
    told = one.segment.refers + asked + denied + (not one.segment.after_stop) + now_and_then >= 2
    return told and bool(values_in(one, names)) and _lists_values(one, names)


def _read_shared_ahead(found: Sequence[ReadSegment], place: int, by_subject: BySubject) -> None:
    """Give the values of a list's first subject to those after it that have nothing else: "black wings and tail"."""
    one = found[place]
    listed = list(takewhile(lambda other: other.segment.lists, found[place + 1 :]))
    last = next((k for k, other in enumerate(listed) if other.segment.joint in ("and", "or", "nor")), len(listed))
    listed = listed[: last + 1]
    subjects = [each for other in listed for each in other.subjects]
    bare = all(other.segment.bare and len(other.subjects) == 1 and not other.claims for other in listed)
    bare &= all(len(other.segment.words) == other.subjects[0][1] - other.subjects[0][0] for other in listed if other.subjects)
    following = found[place + 1 + len(listed)] if place + 1 + len(listed) < len(found) else None
    ends = following is None or (following.segment.joint == "," and bool(following.subjects and following.claims))
    ends |= following is not None and following.segment.joint in ("with", "but")
    if (
        not (subjects and bare and ends and listed[-1].segment.joint in ("and", "or", "nor"))
        or one.segment.copula
        or len(one.subjects) != 1
    ):
        return
    told = [claim for claim in one.claims if claim.subject and claim.end <= one.subjects[0][0]]
    for claim in told:
        phrases = set(_phrases_of(claim, by_subject))
        for other in listed:
            (begin, end, subject), *_ = other.subjects
            for name in by_subject[subject]:
                if set(name.phrases) & phrases:
                    other.claim(name.place, begin, end, subject, degree=claim.degree)


def _lender(found: Sequence[ReadSegment], place: int, by_subject: BySubject) -> tuple[ReadSegment, tuple[str, ...]] | None:
    """Return the segment with the subject of one that names none: of "black" in "black and white wings" or "which is black"."""
    # "The crown, rather than the breast, is red."
    aside = [
        k for k in range(1, place) if found[place].segment.joint == "," and found[k].segment.joint in ("instead", "unlike")
    ]
    aside = [k for k in aside if found[k].subjects and not found[k].claims]
    if found[place].segment.joint == "," and found[place].segment.predicate:  # "the flowers, which open in spring, are red"
        begins = next((k for k in range(place - 1, 0, -1) if found[k].segment.relative), place)
        if begins == place:  # "the bill, short and hooked, is black"
            begins = next((k + 1 for k in range(place - 2, -1, -1) if found[k].subjects), place)
            begins = place if begins == place or found[begins].segment.joint != "," else begins
        aside += range(begins, place) if found[begins - 1].subjects else []
    back = next((k for k in range(place - 1, -1, -1) if found[k].subjects and k not in aside), None)
    ahead = next((k for k in range(place + 1, len(found)) if found[k].subjects), None)
    before = after = None
    states = False
    if back == 0 and found[0].segment.joint in ("except", "unlike") and found[place].segment.joint == ",":
        back = None  # "except for the red crown, it is green"
    if back is not None:
        subject = found[back].subjects[-1][2]
        between = [one for k, one in enumerate(found[: place + 1]) if k > back and k not in aside]
        if all(_lists_values(one, by_subject[subject]) for one in between):
            before, states = (found[back], subject), any(one.segment.copula for one in found[back : place + 1])
    if ahead == place + 1 and place == 0 and found[place].segment.joint == "instead":  # "instead of red, the crown is blue"
        return found[ahead], min(found[ahead].subjects)[2]
    own = any(word.stem in WHOLE for word in found[place].segment.words[-1:])  # "white body, grey wings"
    if ahead is not None and not own and all(one.segment.lists for one in found[place + 1 : ahead + 1]):
        begin, _, subject = min(found[ahead].subjects)
        first = min((b for b, _, _ in values_in(found[ahead], by_subject[subject])), default=begin)
        marks = all(
            word.stem in OF_MARKS for word in found[ahead].segment.words[:first]
        )  # "almost black, relieved by a white crown"
        if first < begin and marks and all(_lists_values(one, by_subject[subject]) for one in found[place:ahead]):
            after = found[ahead], subject
    if found[place].segment.refers and before:  # "the crown and the tail, both red, stand out"
        after = None
    begins_with = back is not None and found[back + 1].segment.joint == "with"
    return after if after and (not states or begins_with) else before or after


def _lists_values(one: ReadSegment, names: Iterable[AttributeName]) -> bool:
    if one.segment.about == OTHERS and not one.subjects:
        return True
    covered = {k for begin, end, _ in values_in(one, names) for k in range(begin, end)}
    covered |= one.read | {k for k, word in enumerate(one.segment.words) if word.stem in ASPECTS | GENERIC or word.compared}
    ends = one.segment.joint == "with" and bool(one.segment.words) and one.segment.words[-1].stem in PATTERNS
    of_marks = {k for k, word in enumerate(one.segment.words) if word.stem in OF_MARKS or (ends and word.stem not in PARTS)}
    covered |= {k for k in of_marks if marks_follow(one, k)}
    return len(covered) == len(one.segment.words)


def _read_shared(found: Sequence[ReadSegment], place: int, by_subject: BySubject) -> None:
    """Give the values of a list's last subject to those before it: "the crown and the nape are red"."""
    one = found[place]
    shared = [claim for claim in one.claims if claim.subject]
    if not shared or not one.segment.lists or not one.subjects or min(b for b, _, _ in one.subjects) > shared[0].begin:
        return
    for before in reversed(found[:place]):
        values = [name for _, _, subject in before.subjects for name in by_subject[subject]]
        if before.segment.words and all(word.stem in PARTS for word in before.segment.words) and not before.subjects:
            continue
        if not before.subjects or before.claims or values_in(before, values) or before.segment.copula:
            break
        end = max(e for _, e, _ in before.subjects)
        if any(word.stem not in GENERIC | PARTS for word in before.segment.words[end:]):  # "belly chestnut, throat red"
            break
        for begin, end, subject in before.subjects:
            for claim in shared:
                named = {by_place.place: by_place for names in by_subject.values() for by_place in names}[claim.place]
                for name in by_subject[subject]:
                    if set(name.phrases) & set(named.phrases):
                        before.claim(name.place, begin, end, subject, degree=claim.degree, about=claim.about)
        if not before.segment.lists:
            break


def _read_echo(found: Sequence[ReadSegment], place: int, by_subject: BySubject) -> None:
    """Read "its nape is not" and "adults are not", which deny what was said before of another."""
    one = found[place]
    before = next((other for other in reversed(found[:place]) if other.claims), None)
    if before is None or not one.segment.ends_denied or one.claims:
        return
    if not one.segment.words:
        for claim in before.claims:
            opposite = {SAID: DENIED, DENIED: SAID}.get(claim.degree, claim.degree)
            one.claims.append(replace(claim, degree=opposite, begin=0, end=0, about=one.segment.about))
        return
    for begin, end, subject in one.subjects:
        phrases = {phrase for claim in before.claims for phrase in _phrases_of(claim, by_subject)}
        for name in by_subject[subject]:
            if set(name.phrases) & phrases:
                one.claim(name.place, begin, end, subject, degree=DENIED)


def _phrases_of(claim: Claim, by_subject: BySubject) -> tuple[tuple[str, ...], ...]:
    return next((name.phrases for name in by_subject.get(claim.subject, ()) if name.place == claim.place), ())


def _read_alone(found: Sequence[ReadSegment], place: int, by_subject: BySubject) -> None:
    """Read values with no subject: of a group that is the whole ("small", "green bird"), or that alone has them ("forked")."""
    one = found[place]
    every = [name for names in by_subject.values() for name in names]
    values = [value for value in values_in(one, every) if not one.read & set(range(value[0], value[1]))]
    # "9 cm long" is of no long wings.
    values = [value for value in values if not (value[0] and one.segment.words[value[0] - 1].quantity)]
    if one.segment.one:  # of what "one" stands for, which is not known
        values = [value for value in values if not is_hue(value[2])]
    taken = {k for begin, end, _ in values for k in range(begin, end)}
    for begin, end in dict.fromkeys((begin, end) for begin, end, _ in values):
        names = [name for b, e, name in values if (b, e) == (begin, end)]
        after = one.segment.words[end].stem if end < len(one.segment.words) else ""
        whole = [name for name in names if set(name.subject) <= WHOLE]
        itself = [name for name in names if set(name.subject) <= ASPECTS]
        adjective = one.segment.words[begin].stem in SIZES and not (one.segment.copula or itself or whole)
        if adjective and place + 1 < len(found) and found[place + 1].segment.lists and found[place + 1].subjects:
            continue  # "a long, curved bill"
        if after in PARTS or (after,) in by_subject:
            continue
        if one.segment.words[begin].text == "plain" and after in COLORS:  # "plain brown" is of no plain head
            continue
        if after in PATTERNS and one.segment.words[end].text.endswith("s") and one.segment.joint == "with":
            continue  # "a red crown with black spots" is no black bird
        is_thing = begin in one.things and "pattern" in names[0].aspects
        named = any(claim.end == begin and one.segment.words[claim.begin].stem not in COLORS | PATTERNS for claim in one.claims)
        if named and one.segment.words[begin].stem in PATTERNS:
            one.read |= {begin}  # "malar stripe" says no more than "malar"
            continue
        if is_thing or (itself and not any(word.stem in PARTS for word in one.segment.words)):
            for name in names if is_thing else itself:
                one.claim(name.place, begin, end, name.subject)
            continue
        if one.subjects or any(
            word.stem in PARTS and k not in one.read | taken and not (word.stem == "sid" and k + 1 == begin)  # "side zip"
            for k, word in enumerate(one.segment.words)
        ):
            continue
        hues = {name.place for name in names if is_hue(name)}
        subjects = {name.subject for name in names}
        if len(subjects) == 1 and not hues and not {*names[0].aspects} & {"length", "siz"}:
            others = [k for k, word in enumerate(one.segment.words) if k not in one.read | taken and word.stem not in GENERIC]
            apart = others and "shap" in names[0].aspects and not any(names[0].subject in each.parts for each in found)
            if is_of_another(one, begin, names[0]) or (apart and {*names[0].subject} & PARTS):
                continue
            for name in names:
                one.claim(name.place, begin, end, name.subject)
        elif (not after or after in COLORS | PATTERNS | GENERIC | ASPECTS) and _is_of_whole(found, place, every):
            covered = [name for name in names if not set(name.subject) & BARE and {*name.aspects} & {"color", "pattern"}]
            for name in whole or covered:
                one.claim(name.place, begin, end, name.subject, weak=True)


def _is_of_whole(found: Sequence[ReadSegment], place: int, every: Sequence[AttributeName]) -> bool:
    """Return whether a segment, and the list that it stands in, speak of the whole: "green", "a fluffy green bird"."""
    first = last = place
    own = found[place].segment.words
    overall = any(word.stem in OVERALL for word in own)
    overall |= any(first.stem in GENERIC and then.after_copula for first, then in pairwise(own))
    while first and (found[first].segment.lists or found[first].segment.joint == ":") and not overall:
        first -= 1
    while last + 1 < len(found) and found[last + 1].segment.lists and not overall:
        last += 1
    of_bird = bool(found[last].segment.words) and found[last].segment.words[-1].stem in GENERIC
    for one in found[first : last + 1]:
        if one.segment.joint in ("except", "unlike"):
            continue
        words = one.segment.words
        values = {k for begin, end, _ in values_in(one, every) for k in range(begin, end)}
        told = [k in values or word.stem in GENERIC | ASPECTS | WHOLE for k, word in enumerate(words)]
        ends_generic = bool(words) and (words[-1].stem in GENERIC or (of_bird and len(words) - 1 in values))
        ends_generic &= not one.segment.copula
        if one.subjects:
            if one.segment.lists and one.claims:
                continue
            return False
        if any(word.stem in PARTS for word in words) or not (all(told) or ends_generic):
            return False
    return True


def _read_exceptions(found: Sequence[ReadSegment], by_subject: BySubject) -> None:
    """Read "except the wings", which denies of a part what is said of the whole, and "no stripes except on the legs"."""
    for place, one in enumerate(found):
        if one.segment.joint != "except" or one.claims:
            continue
        parts = {subject for _, _, subject in one.subjects}
        whole = sum(end - begin for begin, end, _ in one.subjects) == len(one.segment.words)
        for before in found[:place] if whole else ():  # "wings and tail are green, except the tail"
            for k, claim in enumerate(before.claims):
                if claim.subject in parts and claim.degree == SAID and not claim.weak:
                    before.claims[k] = replace(claim, degree=DENIED)
        for before in [*found[:place], *found[place + 1 :]]:
            for claim in list(before.claims):
                said = _phrases_of(claim, by_subject) if claim.weak else ()
                for begin, end, subject in one.subjects:
                    for name in by_subject[subject]:
                        if set(name.phrases) & set(said):
                            one.claim(name.place, begin, end, subject, degree=SAID if claim.degree == DENIED else DENIED)
                if not claim.subject and claim.degree == DENIED:
                    before.claims[before.claims.index(claim)] = replace(claim, degree=PARTLY)
