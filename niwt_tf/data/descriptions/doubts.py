"""Which claims are left because of the words around them: of a part and not the whole, or among words not understood.

A reader that knows a part of English is right where it knows the words around a claim. So a claim is left if unknown words part
it from its subject or from its denial, if it holds only somewhere or at some time, if it only seems so, if it compares, or if
it may be a word of a name, as in "blue whales". Its words are told as not understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from niwt_tf.data.descriptions.attribute_names import (
    ASPECTS,
    COLORS,
    COVERINGS,
    EATING,
    GENERIC,
    OF_MARKS,
    PARTS,
    PATTERNS,
    SIZES,
    AttributeName,
    is_hue,
)
from niwt_tf.data.descriptions.read_segments import Claim, ReadSegment
from niwt_tf.data.descriptions.sentences import CLASS, DENIED, GRADED, PARTLY, Segment, Word, degree_of, stem, words_of

_KNOWN = ASPECTS | COLORS | GENERIC | OF_MARKS | PARTS | PATTERNS | SIZES
_SEEMING = words_of(
    """seem seems seemed seeming appear appears appeared appearing look looks looked looking said supposed thought believed
    reputed reported claimed alleged suggests suggest recalls recall reputation
    seemingly apparently supposedly allegedly reportedly reputedly purportedly"""
)
_VARYING = words_of("vary varies varying ranges ranging")
_CONDITIONS = words_of("when where if unless until till whenever wherever")
# What stands before a place, a time, an age or a light, and what may follow and is none of these.
_CIRCUMSTANCES = words_of("in at near from during until by under among within towards")
_NO_CIRCUMSTANCE = words_of("most all both every")
_SEASONS = words_of("season seasons plumage")  # which one is told by the word before
_OUTWARD = words_of("flight colour color form shape size hand general")
_WAYS = words_of("over into onto through across towards toward beyond past for")
_SIDES = words_of("above below beneath underneath")
# Who, and not what has a colour, where a segment begins with it: "males red on the crown, females olive".
_SEXES = words_of("male males female females cock cocks hen hens bull bulls cow cows")
_BEFORE_NOUNS = _CIRCUMSTANCES | _WAYS | words_of("of on to around along")
_OF_OTHERS = words_of("from than of to like by unlike")
_OWNING = words_of("has have having with of")
_ARTICLES = words_of("the a an its their nearest some any")
# What belongs to an animal and is not a part of it, and what begins a passage on other kinds.
_APART = words_of(
    "egg eggs nest clutch track tracks droppings scat dung call song voice similar compare cf confusion prey"
)
# "A nest lined with white feathers", but not "trees to nest in".
_SPOTTED = {stem(word) for word in words_of("spotted speckled streaked barred mottled flecked")}
_BUILT = words_of("egg eggs nest clutch")
_PERCHES = words_of("in on at near under among")
_WASHED = words_of("washed tinged suffused flushed")
_WASHES = words_of("wash tinge tint sheen gloss suffusion")
_ON_PARTS = (PATTERNS - {stem(word) for word in words_of("plain solid multicolored")}) | {
    stem(word) for word in words_of("line tip edge corner band bar tuft spot side base covert")
}


def leave_doubtful(found: Sequence[ReadSegment], names: Sequence[AttributeName]) -> None:
    """Take doubtful claims from the segments of a sentence, and their words from those that were read."""
    by_place = {name.place: name for name in names}
    begins = {word.text for one in found[:1] for word in one.segment.words[:1]}
    before, apart = None, bool(_APART & begins)
    for one, after in zip(found, [*found[1:], None], strict=True):
        apart |= any(token in _BUILT and then not in _PERCHES for token, then in pairwise([*one.segment.tokens, ""]))
        told = [_Told(one, claim, by_place[claim.place], before, after) for claim in one.claims if one.segment.words]
        doubtful = [each.claim for each in told if apart or each.is_doubtful]
        one.claims = [claim for claim in one.claims if claim not in doubtful]
        one.read -= {k for claim in doubtful for k in range(claim.begin, claim.end)}
        before = one


def _is_unknown(one: ReadSegment, k: int) -> bool:
    word = one.segment.words[k]
    return k not in one.read and word.stem not in _KNOWN and not word.compared and word.quantity is None


def _follows(word: Word, before: Word) -> bool:
    """Return whether nothing stands between two words."""
    return word.at == before.at + 1


@dataclass(frozen=True)
class _Told:
    """A claim in its segment, and the segments beside it."""

    one: ReadSegment
    claim: Claim
    name: AttributeName
    last: ReadSegment | None
    next: ReadSegment | None

    @property
    def is_doubtful(self) -> bool:
        if (self.claim.weak and self.is_of_thing()) or (not self.claim.subject and self.is_of_unknown_part()):
            return True
        if self.claim.subject and (self.is_apart() or self.is_of_marks_on_it() or self.is_of_marks_before()):
            return True
        if self.is_of_another() or self.is_of_some():
            return True
        lent = self.claim.subject and not (self.subjects or self.claim.weak or self.segment.one)
        if lent and (self.goes_on_with_thing or self.is_after_thing() or _SEXES & {*self.segment.tokens[:1]}):
            return True
        if self.claim.degree == DENIED and self.is_denied_afar():
            return True
        return self.is_of_name() or self.is_comparison() or self.is_seeming() or self.is_circumstance() or self.is_on_the_way()

    @property
    def segment(self) -> Segment:
        return self.one.segment

    @property
    def words(self) -> tuple[Word, ...]:
        return self.segment.words

    @property
    def subjects(self) -> list[tuple[int, int]]:
        """Return where the claim's subject stands."""
        return [(begin, end) for begin, end, subject in self.one.subjects if subject == self.claim.subject]

    @cached_property
    def before(self) -> tuple[str, ...]:
        """Return the tokens before the claim."""
        return self.segment.tokens[: self.words[self.claim.begin].at]

    @cached_property
    def after(self) -> tuple[str, ...]:
        """Return the tokens after it."""
        return self.segment.tokens[self.words[self.claim.end - 1].at + 1 :]

    @property
    def is_color(self) -> bool:
        return is_hue(self.name) and self.words[self.claim.end - 1].stem in COLORS

    def is_of_name(self) -> bool:
        """Return whether a noun that is not known follows: "blue whales", "the red-winged blackbird", "in mountain streams"."""
        words, subject = self.words, self.claim.subject
        end = max([self.claim.end, *(end for _, end in self.subjects if subject)])
        if end >= len(words) or not _follows(words[end], words[end - 1]) or self.claim.number is not None:
            return False
        if words[end].text in _BEFORE_NOUNS or self.is_of_kind_described:
            return False
        unknown = _is_unknown(self.one, end) or words[end].text in ("bear", "bears")
        if subject:
            return unknown and words[end - 1].text.endswith("ed") and self.before[-1:] in ((), ("the",))
        if is_hue(self.name) or (words[end].text.endswith("ed") and words[end - 1].stem in SIZES):  # "weak-sighted"
            return unknown
        is_noun = unknown or (words[end].stem in GENERIC and words[end].text.endswith("s"))
        eaten = [*words[: self.claim.begin], *(self.last.segment.words if self.last and self.segment.lists else ())]
        return is_noun and (bool({*self.before[-2:]} & _BEFORE_NOUNS) or any(word.stem in EATING for word in eaten))

    @cached_property
    def is_of_kind_described(self) -> bool:
        """Whether it stands before a noun that means the class itself: "a small brown monkey from Brazil"."""
        before, one = self.before, self.one
        if self.claim.subject or self.segment.joint in _OWNING or bool(_OWNING & {*before}):
            return False
        if self.goes_on_with_adjectives:
            return True
        first = max((k for k, token in enumerate(before) if token in _ARTICLES | _BEFORE_NOUNS), default=None)
        if first is not None:
            return before[first] in ("a", "an") and not (first and before[first - 1] in _BEFORE_NOUNS | _OF_OTHERS)
        return self.last is None and not any(_is_unknown(one, k) or self.words[k].after_copula for k in range(self.claim.end))

    @cached_property
    def goes_on_with_adjectives(self) -> bool:
        """Whether it follows another adjective of the same noun: "a big, fierce, orange cat", "a medium-sized, spotted cat"."""
        if self.last is None or not self.segment.lists or self.claim.begin or not self.last.segment.words:
            return False
        end = len(self.last.segment.words) - 1
        if self.last.claims:
            return self.last.claims[-1].end - 1 == end and not self.last.claims[-1].subject
        tokens = self.last.segment.tokens
        return tokens[-1].endswith(("ed", "ish", "y")) and bool({"a", "an"} & {*tokens[-3:-1]})

    def is_of_marks_on_it(self) -> bool:
        """Return whether a colour is that of what is on a part: "white wing bars", "streaks of brown on the belly"."""
        words, begin = self.words, self.claim.begin
        if not self.is_color:
            return False
        if (self.before[-1:] == ("of",) and begin and words[begin - 1].stem in PATTERNS) or _WASHES & {*self.after[:1]}:
            return True
        if self.subjects and ("partly" in self.after or _SIDES & {*self.after[:1]}):
            return True  # "yellow on the sides of the breast", "tail black above"
        marked = words[begin - 1] if begin else None
        if marked is not None and marked.stem in _SPOTTED and marked.text.endswith("ed") and _follows(words[begin], marked):
            return True  # "breast grey, spotted black"
        marks = words[begin - 1] if begin and not self.subjects else None
        if marks is not None and marks.stem in PATTERNS and marks.text.endswith("s") and _follows(words[begin], marks):
            return True  # "wings brown, the bars white"
        ends = [e for _, e in self.subjects if e != begin and e < len(words) and not words[e - 1].text.endswith("s")]
        return any(_follows(words[e], words[e - 1]) and words[e].stem in _ON_PARTS for e in ends)

    def is_of_marks_before(self) -> bool:
        """Return whether a colour is that of marks: "spotted with black"."""
        if self.segment.joint != "with" or self.last is None or not self.last.segment.words or self.one.subjects:
            return False
        if not is_hue(self.name) or self.claim.weak or self.claim.degree == DENIED:
            return False
        end = len(self.last.segment.words) - 1
        marks = self.last.segment.words[end]
        strange = marks.stem in PATTERNS or marks.text in _WASHED or _is_unknown(self.last, end)
        return marks.text.endswith("ed") and strange

    def is_of_another(self) -> bool:
        """Return whether what was named before has it: "bill yellow with a red spot", "from the jay, whose crown is black"."""
        if self.last is None or not self.last.segment.words:
            return False
        if self.segment.relative and not self.last.subjects and _is_unknown(self.last, len(self.last.segment.words) - 1):
            return bool(_OF_OTHERS & {*self.last.segment.tokens[-3:-1]})
        if self.segment.joint != "with" or not self.claim.subject or not is_hue(self.name) or self.subjects:
            return False
        if self.next is not None and self.claim.subject in self.next.parts:
            return False  # "with a black and white crown"
        generic = any(word.stem in GENERIC for word in self.words)
        return self.claim.subject not in self.last.parts and (bool(self.last.subjects) or (self.claim.weak and not generic))

    def is_of_some(self) -> bool:
        """Return whether what follows says that only some have it, or have it now: "tusks, found only in bulls"."""
        if self.next is None or self.next.segment.about == CLASS or self.claim.about != CLASS:
            return False
        following = self.next.segment
        if following.joint == "," and not self.next.claims and all(word.stem in GENERIC for word in following.words):
            return True
        listed = following.joint == "with" or (following.joint == "and" and not self.segment.copula)
        listed &= not self.next.subjects
        return listed and "in" in following.tokens and is_hue(self.name)

    def is_apart(self) -> bool:
        """Return whether unknown words part a value from its subject: "wing coverts tipped white", but not "cobalt blue"."""
        begin, end = self.claim.begin, self.claim.end
        gaps = [range(e, begin) if e <= begin else range(end, b) for b, e in self.subjects]
        shaded = bool(begin) and self.is_color and _follows(self.words[begin], self.words[begin - 1])
        known = {begin - 1} if shaded and not self.words[begin - 1].text.endswith(("s", "ed", "ing")) else set()
        strange = [
            any(_is_unknown(self.one, k) or self.words[k].stem in PARTS - GENERIC for k in {*gap} - self.one.read - known)
            for gap in gaps
        ]
        return bool(strange) and all(strange)

    def is_comparison(self) -> bool:
        """Return whether a claim says more or less than of another: "larger", "more active than", "not so white"."""
        own = {word for phrase in self.name.phrases for word in phrase} | COLORS
        for word in self.words[self.claim.begin : self.claim.end]:
            if word.text.endswith("er") and word.text not in own and word.stem in GRADED | SIZES | COLORS:
                return True
        if self.segment.tokens[0] == "like" and self.words[self.claim.begin].stem in SIZES:
            return True  # "like a small crow"
        if not self.claim.subject and not self.before:  # "domestic cats are smaller" tells of those
            rest = self.words[self.claim.end :]
            if any(word.after_copula and word.text.endswith("er") and word.stem in GRADED for word in rest):
                return True
        near = {*self.before[-3:]}
        if (near & {"so", "as"} and self.claim.degree == DENIED) or ("as" in near and "as" in self.after):
            return True
        return "more" in near and "than" in self.after  # what is less than another has it in part

    def is_seeming(self) -> bool:
        """Return whether something is only said to be or looks so; "look for" is an order."""
        before = self.before
        if self.is_color and _VARYING & {*before}:
            return True
        return any(token in _SEEMING and before[k + 1 : k + 2] not in (("for",), ("out",)) for k, token in enumerate(before))

    def is_circumstance(self) -> bool:
        """Return whether something holds in some place, at some time or age: "white in old animals", "fast when hunted"."""
        tells = self.segment.joint == "," and self.segment.tokens[0] == "where"  # "the desert, where it digs tunnels"
        listed = self.next.segment if self.next and self.next.segment.joint in ("and", "or") else None  # "fish and frogs when"
        if _CONDITIONS & {*self.segment.tokens[tells:], *(listed.tokens[1:] if listed and not listed.copula else ())}:
            return True
        begin, end, words = self.claim.begin, self.claim.end, self.words
        if self.claim.degree == DENIED or any(b >= end for b, _ in self.subjects if self.claim.subject):
            return False  # "the white wings"
        if self.is_of_kind_described:
            return False
        if self.last is not None and self.segment.joint in (",", "has", "have") and _begins_with_circumstance(self.last):
            return True
        if not (self.claim.subject or is_hue(self.name) or words[begin].stem in SIZES):
            return words[begin].after_copula and _begins_with_circumstance(self.one)
        if self.after[:1] == ("in",) and {"other", "others", "those"} & {*self.after[:3]}:
            return True
        named = end < len(words) and words[end].stem not in _KNOWN
        if named and is_hue(self.name) and self.after[:1] == ("in",) and self.claim.about == CLASS:
            return not _NO_CIRCUMSTANCE & {*self.after[:2]}  # "white in the Arctic"
        return any(_is_circumstance_at(self.one, k) for k in range(len(words)))

    def is_denied_afar(self) -> bool:
        """Return whether unknown words part a denial from what is denied: "hardly project beyond the forked tail"."""
        denier = max((k for k, token in enumerate(self.before) if degree_of(token) == DENIED), default=None)
        if denier is None:
            return False
        strange = [self.words[k].at for k in range(self.claim.begin) if _is_unknown(self.one, k)]
        strange = [at for at in strange if at > denier]
        return bool(strange) and bool(_BEFORE_NOUNS & {*self.before[strange[0] :]})

    def is_on_the_way(self) -> bool:
        """Return whether something is only where it goes: "bolts for the nearest tree"."""
        before = list(self.before)
        while before and before[-1] in _ARTICLES:
            before.pop()
        return not self.claim.subject and not is_hue(self.name) and bool(_WAYS & {*before[-1:]})

    def is_of_thing(self) -> bool:
        """Return whether what seems said of the whole is of a thing or a part: "the eyebrow is white", "...; it is white"."""
        if self.segment.refers and not self.segment.after_stop:
            return True
        if self.last is not None and self.last.segment.words and self.segment.lists and self.words[-1].stem not in GENERIC:
            end = len(self.last.segment.words) - 1
            if self.goes_on_with_adjectives:
                return False
            if not self.last.claims or (self.last.segment.copula and end not in self.last.read):
                return True  # what it goes on with was not understood
            if self.claim.weak and not self.segment.copula and self.last.claims[-1].subject and self.last.segment.refers:
                return True  # "it is a fan, green with a white tip"
        return self.is_after_thing()

    def is_after_thing(self) -> bool:
        """Return whether it is said of what was read as a thing: "the eyebrow is long"."""
        thing = self.words[self.claim.begin - 1] if self.claim.begin else None
        known = _KNOWN - PATTERNS if self.claim.weak else _KNOWN  # "the malar stripe is black"
        if thing is None or self.claim.begin - 1 not in self.one.read or thing.stem in known:
            return False
        follows = self.claim.weak and self.claim.begin == 1 and _follows(self.words[1], thing)  # "eyebrow white"
        if not (self.words[self.claim.begin].after_copula or (follows and self.claim.end == len(self.words))):
            return False
        return not thing.text.endswith(("like", "ed", "y"))

    @property
    def goes_on_with_thing(self) -> bool:
        """Whether it goes on with what is said of a thing: "broad" of "eyebrow white and broad"."""
        last = self.last
        if last is None or not (self.segment.bare and self.segment.lists) or last.subjects or len(last.segment.words) < 2:
            return False
        return any(claim.begin == 0 for claim in last.claims) and last.segment.words[0].stem not in _KNOWN

    def is_of_unknown_part(self) -> bool:
        """Return whether looks are those of a part that is not known: "skull big", "its ruff is black"."""
        first, begin = self.words[0], self.claim.begin
        if not begin or self.words[begin].stem not in SIZES | COLORS | PATTERNS or not _is_unknown(self.one, 0):
            return False
        owned = bool({"its", "their", "his", "her"} & {*self.segment.tokens[: first.at]})
        return owned or (begin == 1 and _follows(self.words[1], first) and not first.text.endswith(("ed", "ly", "y")))


def _is_circumstance_at(one: ReadSegment, k: int) -> bool:
    at = one.segment.words[k].at
    before = {*one.segment.tokens[max(0, at - 3) : at]}
    held = bool(_CIRCUMSTANCES & before) and not _NO_CIRCUMSTANCE & before
    return (held and _is_unknown(one, k) and one.segment.words[k].text not in _SEASONS) or {"in", "those"} <= before


def _begins_with_circumstance(one: ReadSegment) -> bool:
    first = one.segment.words[:1]
    begins = bool(first) and one.segment.tokens[0] in _CIRCUMSTANCES and first[0].text not in _OUTWARD
    return begins and not one.claims and _is_unknown(one, 0)


def read_of_parts(found: Sequence[ReadSegment], place: int, names: Sequence[AttributeName]) -> None:
    """Take "white" of "white ears" for a part of it, and "small" of "small ears" for nothing, where names have no ears."""
    one = found[place]
    words = one.segment.words
    plain = {name.place for name in names if not name.subject and any(len(phrase) == 1 for phrase in name.phrases)}
    kept = []
    for claim in one.claims:
        adjective = words[claim.begin].stem if claim.end - claim.begin == 1 and claim.place in plain else ""
        # "Stripes on the back" are stripes of the whole.
        are_marks = adjective in PATTERNS and words[claim.begin].text.endswith(("s", "stripe", "spot", "patch", "band"))
        is_looks = (adjective in COLORS | PATTERNS | SIZES and not are_marks) or (
            adjective and words[claim.begin].text.endswith("less")
        )
        if is_looks and (one.segment.one or (claim.degree != DENIED and _of_part(found, place, claim))):
            if adjective in SIZES or words[claim.begin].text.endswith("less"):
                one.read -= {claim.begin}
                continue
            claim = replace(claim, degree=PARTLY)
        if are_marks and claim.degree != DENIED and "only" in one.segment.tokens and _names_part(one):
            claim = replace(claim, degree=PARTLY)
        # That the belly has no spots says nothing of the back.
        of_covering = claim.place in plain and claim.degree == DENIED and words[claim.begin].stem in COVERINGS
        if of_covering and claim.end - claim.begin == 1 and not claim.subject and _names_part(one):
            one.read -= {claim.begin}
            continue
        kept.append(claim)
    one.claims = kept


def _names_part(one: ReadSegment) -> bool:
    """Return whether a segment names a part of the body that no attribute in it is about."""
    return any(word.stem in PARTS and k not in one.read for k, word in enumerate(one.segment.words))


def _of_part(found: Sequence[ReadSegment], place: int, claim: Claim) -> bool:
    """Return whether an adjective is said of a part of the body."""
    words = found[place].segment.words
    after = words[claim.end].stem if claim.end < len(words) else ""
    if not after and place + 1 < len(found) and found[place + 1].segment.lists:  # "black and white ears"
        following = [word.stem for word in found[place + 1].segment.words[:2]]
        after = following[1] if len(following) == 2 and following[0] in COLORS | PATTERNS else ""
    # "In small groups" it is not small.
    of_others = words[claim.begin].stem in SIZES and claim.end < len(words) and words[claim.end].text.endswith("s")
    eats = claim.begin or any(word.stem in EATING for one in found[:place] for word in one.segment.words)
    eaten = of_others and eats and not found[place].segment.copula  # "it eats small animals"
    behind = words[claim.end + 1].stem if claim.end + 1 < len(words) and after not in GENERIC else ""
    if {after, behind} & PARTS or (of_others and after not in GENERIC) or eaten:
        return True
    segment = found[place].segment
    listed = found[place + 1].segment if place + 1 < len(found) else None
    # "Large, furry paws", "plankton and small fish", "spots large", "claws black", "tail ringed black and white".
    if listed is not None and listed.words and listed.lists and not (segment.copula or listed.copula or claim.begin or after):
        close = listed.words[-1].at - listed.words[0].at < 3 and listed.tokens[0] not in _BEFORE_NOUNS
        if close and listed.words[-1].stem in PARTS and not listed.words[0].compared:
            return True
    noun, then = (words[k] if k < len(words) else None for k in (claim.end, claim.end + 1))
    of_noun = noun is not None and claim.end in found[place].read and _follows(noun, words[claim.end - 1])
    if of_noun and noun is not None and words[claim.begin].stem in SIZES and (then is None or not _follows(then, noun)):
        return True
    if claim.begin and (words[0].stem in PARTS or (words[claim.begin - 1].text.endswith("s") and not segment.copula)):
        return words[0].stem not in GENERIC
    if place and segment.bare and segment.joint in ("and", "or") and len(words) == 1:
        before_it = found[place - 1].segment.words
        if len(before_it) > 1 and before_it[0].stem in PARTS:  # "hooves small and black"
            return True
    if place and segment.bare and segment.joint in ("and", "or") and found[place - 1].claims and len(words) == 1:
        last = found[place - 1].claims[-1]
        return last.end == len(found[place - 1].segment.words) and last.begin > 0 and _of_part(found, place - 1, last)
    before = words[claim.begin - 1].stem if claim.begin and words[claim.begin].after_copula else ""
    if not claim.begin and place and found[place].segment.predicate:  # "tusks are found in both sexes but are larger in males"
        first = next((k for k in range(place - 1, 0, -1) if not found[k].segment.predicate), 0)
        before = found[first].segment.words[0].stem if found[first].segment.words else ""
    if not claim.begin and found[place].segment.joint == ":" and found[place - 1].segment.words:
        before = found[place - 1].segment.words[-1].stem
    return before in PARTS
