"""English sentences as far as a description needs them: words without their endings, and the segments that they stand in.

A sentence ends at . ; ! ? or a new line. Within one, commas, colons and joining words ("and", "with", "which") begin a new
segment. Words that say nothing by themselves are left out, but for what they decide: how far a word is said ("no stripes",
"sometimes spotted"), of whom ("the young are brown"), and what its subject is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import pairwise

from niwt_tf.data.descriptions.phrases import in_known_words
from niwt_tf.data.descriptions.quantities import Quantity, without_quantities
from niwt_tf.data.descriptions.tokens import one_by_one, unwrapped

# How far something is said: of the whole class, of a part of it or now and then, or not at all.
SAID, PARTLY, DENIED = "said", "partly", "denied"
# Of whom a segment speaks: the class, some of it (a sex, a season), its young, another class, or none ("it would be red").
CLASS, SOME, YOUNG, OTHERS, UNREAL = "the class", "some", "the young", "others", "none"
NOT_OF_CLASS = (YOUNG, OTHERS, UNREAL)


def words_of(listed: str) -> frozenset[str]:
    """Return the words of a list with blanks between."""
    return frozenset(listed.split())


_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.;:!?,\n]")
_ENDS = frozenset(".;!?\n")
_PRONOUNS = frozenset({"it", "it's", "they", "they're", "both"})
_LISTING = frozenset({",", "and", "or", "nor", "&"})
_RELATIVE = frozenset({"which", "that", "whose", "who"})
_WITHOUT = frozenset({"without", "instead"})
_JOINING = (
    _LISTING | _RELATIVE | _WITHOUT
    | {":", "but", "with", "while", "whereas", "has", "have", "having", "yet", "though", "although", "except", "unlike"}
)  # fmt: skip
_DENYING = _WITHOUT | words_of(
    "no not never lack lacks lacking lacked none neither nor cannot non nowhere hardly scarcely barely seldom rarely"
)
# Said of what stands before.
_ABSENT = words_of("absent missing lacking wanting disappear disappears vanish vanishes fade fades")
_LESSENING = words_of(
    """sometimes occasionally may might either partly partially slightly faintly less perhaps possibly sporadically few fewer
    some slight faint minor minimal occasional possible suspected potential probable poor
    poorly clumsily"""
)
_CONFIRMING = words_of("usually often most mostly mainly always typically generally commonly frequently normally largely")
_COPULAS = words_of(
    """is are was were be being look looks appear appears become becomes isn't aren't wasn't weren't seem seems they're that's
    there's"""
)
_EMPTY_WORDS = """
a an the this that these those it its it's their his her he she they them there i we one ones of in on at to from by for as than
about over into onto around also too so just has have having had do does doesn't don't can with and or nor but while whereas you
whose which who any each both such rather quite somewhat like yes present visible itself themselves will would more even still
only however when where if other every now almost nearly
fine ever thatone otherwise anywhere many numerous several much got trace sign hint sex else alone here
"""
EMPTY = _COPULAS | _CONFIRMING | words_of(_EMPTY_WORDS)
_OF_SOME = words_of(
    """male female stag doe ewe drake stallion mare ram hen cock cockerel rooster summer winter spring autumn breeding
    nonbreeding morph phase race subspecies variety molt moult bull cow lioness"""
)
_OF_YOUNG = words_of(
    """young juvenile immature fawn calf cub chick pup puppy kitten lamb foal piglet nestling hatchling infant baby fledgling
    duckling gosling cygnet newborn youngster subadult yearling joey leveret tadpole larva nymph"""
)
_OF_ALL = words_of("adult adults grown sexes parent parents")
_IRREGULAR = {
    "feet": "foot", "teeth": "tooth", "geese": "goose", "mice": "mouse", "leaves": "leaf", "primarily": "primary",
    "hooves": "hoof", "hooved": "hoof", "calves": "calf", "flier": "fly", "flies": "fly", "flying": "fly", "flys": "fly",
    "lying": "lie", "runner": "run", "running": "run", "wolves": "wolf", "agile": "agility", "muscular": "muscle",
    "petalled": "petal", "wooden": "wood", "golden": "gold", "coastal": "coast", "mountainous": "mountain",
}  # fmt: skip
# Spellings and names of one thing, in data sets and in what people write.
_SAME = {
    "beak": "bill", "grey": "gray", "colour": "color", "stomach": "belly", "abdomen": "belly", "chest": "breast",
    "streak": "strip", "conical": "con", "antl": "horn", "large": "big", "larg": "big", "little": "small", "littl": "small",
    "quadrupedal": "quadrapedal",
}  # fmt: skip
_NUMBERS = {"0": "no", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
            "8": "eight", "9": "nine", "10": "ten"}  # fmt: skip
_HYPOTHETICAL = frozenset({"would", "wouldn't", "it'd", "they'd"})
_LONGEST_RUN = 8  # words that a name may have


@dataclass(frozen=True)
class Word:
    """A word that counts."""

    text: str  # as it was written, lower case
    stem: str  # without its ending
    after_copula: bool = False  # whether "is" or the like stands between it and the word that counts before it
    degree: str = SAID
    compared: bool = False  # whether it is what something is compared with: "a bear" in "less furry than a bear"
    quantity: Quantity | None = None
    at: int = 0  # its place among the segment's tokens


@dataclass(frozen=True)
class Segment:
    """A part of a sentence."""

    joint: str  # what joins it to the segment before, "" for the first of a sentence
    words: tuple[Word, ...]  # those that count
    copula: bool  # whether it has "is" or the like
    about: str = CLASS  # of whom it speaks
    relative: bool = False  # whether "which" or the like joins it
    ends_denied: bool = False  # whether it ends with a denial, as "adults are not"
    refers: bool = False  # whether "it" or "one" of it stands for what was spoken of before
    one: str = ""  # "one", "ones", "former" or "latter" where that stands for a thing that was spoken of before
    predicate: bool = False  # whether "is" or the like begins it
    bare: bool = False  # whether it has nothing but words that count, as "tail" of "black wings and tail"
    after_stop: bool = True  # whether a full stop stands before its sentence, not a semicolon
    tokens: tuple[str, ...] = ()  # all of its words

    @property
    def lists(self) -> bool:
        """Whether it goes on with what the segment before began."""
        return self.joint in _LISTING or self.joint in ("but", "instead")

    @cached_property
    def runs(self) -> dict[str, list[tuple[int, int]]]:
        """Where words stand one after the other, by their stems with blanks between and by the words written as one."""
        found: dict[str, list[tuple[int, int]]] = {}
        for begin in range(len(self.words)):
            for end in range(begin + 1, min(len(self.words), begin + _LONGEST_RUN) + 1):
                part = self.words[begin:end]
                joined = "".join(word.text for word in part[:-1])
                stems = " ".join(word.stem for word in part) if len(part) > 1 else f"{part[0].stem} "
                for key in {stems, joined + part[-1].text, joined + part[-1].stem}:
                    found.setdefault(key, []).append((begin, end))
        return found


# What may end in -ish, by stem.
_SHADES = words_of(
    "red blu green black whit grey gray brown yellow pink purpl orang buff tan dull pal dark drab small larg long short tall"
)


@lru_cache(maxsize=10_000)
def stem(word: str) -> str:
    """Return a lower-case word without its ending: "striped" and "stripes" are one, so are "furry" and "fur"."""
    if word in ("plains", "bushy", "primaries"):  # where animals live, a tail, feathers: no plain wing, bush or primary color
        return word
    word = re.sub("(?<=colo)(u?r)ation$", r"\1", re.sub("'s?$", "", word))
    word = _IRREGULAR.get(word, word)
    if (len(word) > 4 and word.endswith("ies")) or (len(word) > 5 and word.endswith("ied")):  # "white-bellied"
        word = word[:-3] + "y"
    elif re.search("(ss|sh|ch|x)es$", word):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")):
        word = word[:-1]
    word = re.sub("(?<=.{2})ier$", "y", word)
    if len(word) > 5 and word.endswith("ish") and _single(word[:-3]) in _SHADES:  # "reddish", not "finish"
        word = _single(word[:-3])
    word = _single(word[:-3]) if word.endswith("est") and _single(word[:-3]) in GRADED else word
    verbal = re.fullmatch("(.{3,})(ed|ing)", word) or re.fullmatch("(.{4,})(er)", word)
    if verbal:
        word = _single(verbal[1])
    agent = re.fullmatch("(.{4,})er", word) if verbal and verbal[2] == "ed" else None
    if agent:  # "feathered", as "feathers"
        word = _single(agent[1])
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    word = re.sub("(?<=.{4}ic)at$", "", re.sub("(?<=.{4}[ae]n)c$", "t", word))  # "domesticated", "fragrance"
    word = _SAME.get(word, word)
    if len(word) > 4 and word.endswith("y") and word[-2] not in "aeiou":
        word = _single(word[:-1])
    return word


# What may end in -est or -er, by stem.
GRADED = words_of("larg big small strong fast slow weak long short tall smart fierc lean dark pal bright wid thick thin heavi")


def _single(word: str) -> str:
    """Return a word without the doubling of its last letter: "furr" is fur."""
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls" else word


def content(name: str) -> tuple[str, ...]:
    """Return the words of a name that count, lower case; all of them where none does."""
    words = [_NUMBERS.get(word, word) for word in re.findall(r"[^\W_]+", name.lower())]
    return tuple(word for word in words if word not in EMPTY) or tuple(words)


_VERY = [
    (re.compile(r"\btiny\b"), ("tiny", "very small")),
    (re.compile(r"\b(?:huge|enormous|gigantic)\b"), ("huge", "very large")),
]


# "The Blue Jay" within a sentence: one word, whose colour is nobody's.
_NAME = re.compile(r"(\b[a-z][\w'-]*,? )([A-Z][\w'-]+(?: [A-Z][\w'-]+)+)")


def sentences(text: str, names: frozenset[str] = frozenset()) -> list[list[Segment]]:
    """Return the segments of each sentence of a text; segments and sentences without a word that counts are left out.

    `names` are words' stems that are not to be taken apart: "hairless" is "no hair" but where an attribute is called so.
    """
    named = _NAME.sub(lambda name: name[1] + re.sub(r"\W", "", name[2]), unwrapped(text))
    plain, quantities = without_quantities(named.lower().replace("::", " ").replace("_", " "))
    plain = in_known_words(one_by_one(plain))
    for pattern, said in _VERY:
        plain = plain if stem(said[0]) in names else pattern.sub(said[1], plain)
    found: list[list[Segment]] = []
    parts: list[_Part] = [_Part()]
    stopped, about, header = True, CLASS, CLASS
    for token in [*_TOKEN.findall(plain), "."]:
        if token in _ENDS:
            segments = _in_relation(_with_marks([_read(part, quantities, names) for part in _joined(parts)]), about)
            header = next((one.about for one in segments[:1] if one.joint == ":"), header)  # "female: back brown; tail black"
            segments = [replace(one, about=header) if one.about == CLASS else one for one in segments]
            header = header if token == ";" else CLASS
            if token == "?":  # one that is answered has lost its mark
                segments = [replace(one, about=UNREAL) for one in segments]
            found += [[replace(one, after_stop=stopped) for one in segments]] if segments else []
            about = next((one.about for one in reversed(segments) if one.about in (CLASS, SOME)), about)
            parts, stopped = [_Part()], token != ";"
        elif token in _JOINING:
            if parts[-1].tokens:
                parts.append(_Part())
            parts[-1].joints.append(token)
        else:
            parts[-1].tokens.append(token)
    return found


@dataclass
class _Part:
    """A segment's tokens, and the joining words before them."""

    joints: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    labels: bool = False  # whether a denial and a colon begin it, as "lacks: hooves, horns"

    @property
    def kinds(self) -> set[str]:
        """Return what it holds: "words" that count, "marks" of a degree, "denial" as the last mark, "who"."""
        found: set[str] = set()
        for token in self.tokens:
            if degree_of(token) is not None:
                found |= {"marks"}
                found = found | {"denial"} if degree_of(token) == DENIED else found - {"denial"}
            elif _about(token) is not None:
                found.add("who")
            elif token not in EMPTY and token not in ("than", "as", "so"):
                found.add("words")
        return found


def _joined(parts: Sequence[_Part]) -> list[_Part]:
    """Return parts with those that have no word that counts put before the part that follows, but for "adults are not"."""
    result: list[_Part] = []
    waiting = _Part()
    for place, part in enumerate(parts):
        labels = ":" in part.joints and (waiting.kinds == {"marks", "denial"} or "without" in part.joints)
        before, part = (
            waiting.tokens,
            _Part([*waiting.joints, *part.joints], [*waiting.tokens, *part.tokens], waiting.labels or labels),
        )
        waiting, kinds = _Part(), part.kinds
        following = parts[place + 1].joints[0] if place + 1 < len(parts) else ""
        ends = following in ("", ",", "and", "but", "while", "whereas", "though", "although")
        if kinds <= {"who"} and "unlike" in part.joints and following == ",":  # "unlike the male, the female is grey"
            waiting = _Part([], before)  # "the female, unlike the male, is grey"
            continue
        # "Horns: in males only", "rust: slight".
        if kinds and kinds <= {"marks", "who"} and ":" in part.joints and ends and result:
            result[-1].tokens[:0] = part.tokens
            continue
        # "It is spotted, at least in spring."
        if kinds == {"who"} and part.joints == [","] and ends and result and part.tokens[0] in _WITHIN:
            result[-1].tokens += part.tokens
        elif "words" in kinds or (ends and "denial" in kinds and (result or "who" in kinds)):
            result.append(part)
        else:
            waiting = part
    return result


def degree_of(token: str) -> str | None:
    """Return how far a word says that others are said, or None where it is no such word."""
    if _NUMBERS.get(token, token) in _DENYING or token.endswith("n't") or token in _ABSENT:
        return DENIED
    return PARTLY if token in _LESSENING else SAID if token in _CONFIRMING else None


def _about(token: str) -> str | None:
    """Return of whom a word speaks, or None where it is no such word."""
    if token in EMPTY or token == "cocking" or token.endswith("ed"):  # "its tail cocked"
        return None
    base = stem(token)
    if token in _OF_ALL:
        return CLASS
    return SOME if base in _SOME_STEMS else YOUNG if base in _YOUNG_STEMS or token == "born" else None


_OPPOSING, _SEASONS = words_of("but yet though although"), words_of("summer winter spring autumn")
_WITHIN = frozenset({"in", "during", "among", "only"})
_SOME_STEMS, _YOUNG_STEMS = ({stem(word) for word in words} for words in (_OF_SOME, _OF_YOUNG))


@dataclass
class _Marked:
    """A segment before what its neighbours say of it is known."""

    segment: Segment
    marked: bool = False  # whether it says by itself how far its words are said
    last: str = SAID  # the degree at its end
    about: str | None = None
    lacks: bool = False  # whether its denial is "without" or "lacks", which goes on through "and"
    verb: bool = False  # whether it is "lacks", which goes on to the next verb
    labels: bool = False  # whether its denial is a label, which goes on through the list
    bare: bool = False  # whether it is one word, with no article
    several: bool = False  # whether that is a plural
    possesses: bool = False  # whether "has" alone joins it
    of_none: bool = False  # whether it begins with "no" or "neither"
    of_few: bool = False  # whether it begins with "some" or "few"
    would: bool = False  # whether it says what would be, and not what is
    condition: bool = False  # whether "if" begins it
    heads: bool = False  # whether a word for some of the class is what it is about, as in "pink forms", not "in winter"
    gendered: bool = False  # whether "she", "his" or the like begins it
    goes_on: bool = False  # whether "and" alone joins it, and it has no verb


def _read(part: _Part, quantities: dict[str, Quantity], names: frozenset[str]) -> _Marked:
    special = [joint for joint in part.joints if joint in ("except", "unlike", "instead", "without", ":")]
    special = ["without"] if part.labels and "without" in special else special
    joint = (special or [each for each in part.joints if each != ","] or part.joints or [""])[-1]
    degree = DENIED if joint in _DENYING else SAID
    made = _Marked(Segment(joint, (), False), joint in _DENYING, lacks=joint == "without", bare=len(part.tokens) == 1)
    made.labels, made.several = part.labels, made.bare and part.tokens[0].endswith("s")
    words: list[Word] = []
    copula = recent = compared = second_as = absent = elsewhere = False
    trailing, denier = joint in _DENYING, joint
    for place, token in enumerate(part.tokens):
        # "No stripes on its gray body": what follows is where there are none.
        elsewhere |= token in _PLACES and denier in _OF_THINGS and bool(words) and part.tokens[place + 1 : place + 2] in _OF_IT
        plain, own, about = _NUMBERS.get(token, token), degree_of(token), _about(token)
        copula, recent = copula or token in _COPULAS, recent or token in _COPULAS
        following = part.tokens[place + 1] if place + 1 < len(part.tokens) else ""
        # "Bars are absent from the wings", "bars lacking on the wings".
        if token in _ABSENT and words and (recent or degree == PARTLY or following in {"from", "in", *_PLACES}):
            absent, made.marked = True, True
            words = [replace(word, degree=PARTLY if degree == PARTLY else DENIED) for word in words]
        elif own is not None:
            made.marked, degree, trailing, denier = True, own, own == DENIED, token
            made.lacks |= token.startswith(("lack", "without"))
            made.verb |= token.startswith("lack")
        elif about is not None and not compared:
            made.about = about if made.about in (None, CLASS) else made.about
            made.heads |= about == SOME and bool(words) and words[-1].at == place - 1
        elif token == "than" or (token == "as" and second_as):
            compared = True
        elif token in ("as", "so"):
            second_as = True
        elif token in quantities:
            words.append(Word(quantities[token].text, token, recent, degree, compared, quantities[token], place))
            trailing = False
        elif token not in EMPTY and not _is_adverb(token, names):
            how, base = _denied_within(token, names) or (SAID if elsewhere else degree, stem(plain))
            words.append(Word(token, base, recent, how, compared, at=place))
            recent = trailing = False
    if trailing:
        words = [replace(word, degree=DENIED) for word in words]
    elif part.tokens and part.tokens[-1] in _LESSENING:  # "spotted sometimes"
        words = [replace(word, degree=PARTLY) if word.degree == SAID else word for word in words]
    made.last = degree
    relative = any(joint in _RELATIVE for joint in part.joints)
    refers = bool(_PRONOUNS & set(part.tokens[:2])) or bool(part.tokens and part.tokens[-1] in ("one", "ones"))
    ends = trailing or absent
    starts, bare = bool(_COPULAS & {*part.tokens[:1]}), len(words) == len(part.tokens) and not copula
    made.segment = Segment(joint, tuple(words), copula, CLASS, relative, ends, refers, _stands_for(part), starts, bare,
                           tokens=tuple(part.tokens))  # fmt: skip
    made.heads &= not {"in", "during", "of", "by"} & set(part.tokens)
    made.gendered = bool({"she", "he", "her", "his"} & set(part.tokens[:2]))
    made.goes_on = part.joints in (["and"], ["or"]) and not copula and not refers
    made.of_none = bool(part.tokens) and part.tokens[0] in ("no", "none", "neither")
    made.of_few = part.tokens[:1] in (["some"], ["few"], ["partly"]) or part.tokens[:2] == ["a", "few"]
    made.would, made.condition = bool(_HYPOTHETICAL & {*part.tokens}), part.tokens[:1] == ["if"]
    made.possesses = all(each in ("has", "have", "having") for each in part.joints) and bool(part.joints)
    return made


def _stands_for(part: _Part) -> str:
    """Return which word of a part stands for a thing that was spoken of before, or ""."""
    last = part.tokens[-1] if len(part.tokens) > 1 and part.tokens[-1] in ("one", "ones", "there") else ""
    return next((token for token in part.tokens if token in ("former", "latter", "thatone")), last)


_PLACES = words_of("on along across over around near under beneath behind")
_OF_THINGS = words_of("no without lack lacks lacking")
_OF_IT = tuple([each] for each in ("the", "its", "their", "his", "her"))


def _is_adverb(token: str, names: frozenset[str]) -> bool:
    """Return whether a word says how something is so and nothing more, as "finely" of "finely striped"."""
    return len(token) > 5 and token.endswith("ly") and not token.endswith(_NO_ADVERBS) and stem(token) not in names


_NO_ADVERBS = ("fly", "family", "woolly", "curly", "scaly", "bristly", "prickly", "jelly", "belly")


def _denied_within(token: str, names: frozenset[str]) -> tuple[str, str] | None:
    """Return (DENIED, the stem of what is denied) of a word such as "hornless" or "unspotted", which is in no name itself."""
    base = stem(token)
    if base in names:
        return None
    if token.endswith("less") and len(token) > 6:
        return DENIED, stem(token[:-4])
    rest = stem(token[2:])
    return (DENIED, rest) if token.startswith("un") and rest in names else None


def _with_marks(found: list[_Marked]) -> list[_Marked]:
    """Return segments with denials and the like going on through lists: "without horns, claws or tusks"."""
    for place, (before, after) in enumerate(pairwise(found), start=1):
        joint = after.segment.joint
        listed = next((one.segment.joint for one in found[place:] if one.segment.joint != ","), "")
        goes_on = joint in ("or", "nor") or (joint == "," and listed in ("or", "nor")) or (
            joint == "and" and before.lacks and after.bare
        )  # fmt: skip
        # "It lacks hooves, horns and claws", but "without stripes, brown".
        goes_on |= joint == "," and before.lacks and after.several
        goes_on |= before.verb and not after.possesses and (joint == "and" or (joint == "," and listed == "and"))
        goes_on |= before.labels and joint in _LISTING
        goes_on = goes_on and (not after.segment.copula or (before.of_none and joint in ("or", "nor")))
        # "It does not have a mane", "no animal of them has".
        goes_on |= after.possesses and (before.segment.ends_denied or before.of_none)
        goes_on |= after.possesses and before.of_few and not before.segment.copula  # "some birds have"
        if before.last != SAID and goes_on and (joint == "nor" or not after.marked):
            words = tuple(replace(word, degree=before.last) for word in after.segment.words)
            after.segment = replace(after.segment, words=words)
            after.last, after.lacks, after.labels, after.verb = before.last, before.lacks, before.labels, before.verb
            after.of_none = before.of_none
        if before.segment.one == "thatone" and joint in _LISTING and not after.segment.copula:
            after.segment = replace(after.segment, one="thatone")
    for place in range(len(found) - 1, 0, -1):
        one = found[place].segment
        alone = not one.words and found[place].about is None
        if one.ends_denied and (alone or (one.words and one.copula)):
            _deny_before(found, place, alone)
    return [one for one in found if one.segment.words or one.about is not None]


def _deny_before(found: Sequence[_Marked], place: int, alone: bool) -> None:
    """Deny the list that ends with a denial: "horns, claws and hooves are absent", "mane: none"."""
    first = alone  # "the crown was red, but no more"
    while place and (alone or found[place].segment.joint in _LISTING):
        place, alone = place - 1, False
        one = found[place]
        if one.segment.copula and not first or one.marked:
            return
        one.segment = replace(one.segment, words=tuple(replace(word, degree=DENIED) for word in one.segment.words))
        first = False


def _in_relation(found: Iterable[_Marked], before: str = CLASS) -> list[Segment]:
    """Return segments with whom each speaks of: a sex or the young until another is named, another class after "unlike".

    What follows "would", and its condition, speak of none. "Her tail" is of whom the sentence `before` spoke.
    """
    result: list[Segment] = []
    would, whole = False, list(found)
    about = before if whole and whole[0].gendered else CLASS
    of_some = any(one.about == SOME for one in whole[:1])
    for one in whole:
        would |= one.would
        if would or one.condition:
            result.append(replace(one.segment, about=UNREAL))
            continue
        if result and result[-1].about == UNREAL and one.goes_on:
            result.append(replace(one.segment, about=UNREAL))
            continue
        if one.segment.joint == "unlike":
            result.append(replace(one.segment, about=OTHERS))
            continue
        if result and result[-1].about == OTHERS and (one.segment.relative or one.goes_on):
            result.append(replace(one.segment, about=OTHERS))
            continue
        if about == SOME and one.segment.refers and one.segment.joint in _OPPOSING and _SEASONS & {*result[-1].tokens[-1:]}:
            about = CLASS  # "less active in winter, though it does not hibernate"
        about = one.about or (SOME if one.gendered and of_some else about)
        of_some |= about == SOME or one.about == SOME
        result.append(replace(one.segment, about=about))
        for k in range(len(result) - 2, -1, -1):  # "white and pink forms", "brown and tan in females"
            heads = one.heads or (one.about in (SOME, YOUNG) and "in" in one.segment.tokens and result[k + 1].joint == "and")
            if not heads or result[k + 1].joint not in ("and", "or") or not result[k].bare or result[k].about != CLASS:
                break
            result[k] = replace(result[k], about=one.about or SOME)
    return result
