"""What is read of a text, and into which numbers it goes; the texts are those of people, the answers are read by hand."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.birds.species import ATTRIBUTE_NAMES, captions, choose_species
from niwt_tf.data.descriptions.attribute_parser import read_attributes, typical_values
from niwt_tf.data.descriptions.quantities import without_quantities
from niwt_tf.data.descriptions.sentences import stem
from niwt_tf.data.readers.tables import group_of, read_class_table, read_numbered_names
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError

BIRD_NAMES = (
    "has_bill_shape::curved_(up_or_down)", "has_bill_shape::hooked", "has_bill_shape::hooked_seabird", "has_bill_shape::cone",
    "has_bill_length::about_the_same_as_head", "has_bill_length::shorter_than_head", "has_bill_color::grey",
    "has_crown_color::red", "has_crown_color::white", "has_crown_color::black",
    "has_belly_color::white", "has_belly_color::black",
    "has_wing_color::black", "has_wing_color::white", "has_wing_color::red", "has_wing_pattern::striped",
    "has_wing_pattern::solid", "has_tail_shape::fan-shaped_tail", "has_tail_pattern::striped", "has_upper_tail_color::white",
    "has_under_tail_color::black", "has_head_pattern::eyering", "has_eye_color::yellow", "has_eye_color::red",
    "has_size::small_(5_-_9_in)", "has_size::very_small_(3_-_5_in)", "has_shape::duck-like", "has_primary_color::red",
)  # fmt: skip
BEASTS = (
    "black", "stripes", "hooves", "longleg", "longneck", "horns_or_antlers", "long_tail", "short_tail", "no_legs", "four_legs",
    "swims", "on_grass", "yellow_or_tan", "tail", "buckteeth",
)  # fmt: skip


def knowledge(names):
    # The first class has none of all, the second all at 8, the third all at 10, the fourth all at 2.
    values = np.outer([0.0, 8.0, 10.0, 2.0], np.ones(len(names))).astype(np.float32)
    return Knowledge(values, tuple(names), tuple(map(group_of, names)))


BIRDS, ANIMALS = knowledge(BIRD_NAMES), knowledge(BEASTS)


def read(text, seen=BIRDS):
    reading = read_attributes(text, seen)
    return {name.removeprefix("has_") for name in reading.said}, {name.removeprefix("has_") for name in reading.denied}


BIRD_TEXTS = {
    "a red crown": {"crown_color::red"},
    "The crown is RED.": {"crown_color::red"},
    "crowns are red and white": {"crown_color::red", "crown_color::white"},
    "black and white wings": {"wing_color::black", "wing_color::white"},
    "a bird with black, white wings and a red crown": {"wing_color::black", "wing_color::white", "crown_color::red"},
    "red wings with a black and white crown": {"wing_color::red", "crown_color::black", "crown_color::white"},
    "wings are black, with a red and white crown": {"wing_color::black", "crown_color::red", "crown_color::white"},
    "wings that are white, which are striped": {"wing_color::white", "wing_pattern::striped"},
    "white wings with stripes": {"wing_color::white", "wing_pattern::striped"},
    "crown red belly white": {"crown_color::red", "belly_color::white"},
    "red crown white belly": {"crown_color::red", "belly_color::white"},
    "black on the belly, and red on the crown": {"belly_color::black", "crown_color::red"},
    "bill shape curved": {"bill_shape::curved_(up_or_down)"},
    "a bill with a hooked shape": {"bill_shape::hooked"},
    "a hooked grey beak": {"bill_shape::hooked", "bill_color::grey"},
    "a hooked seabird bill": {"bill_shape::hooked_seabird"},
    "a gray, cone-shaped bill": {"bill_color::grey", "bill_shape::cone"},
    "the bill is about the same as the head": {"bill_length::about_the_same_as_head"},
    "fan shaped tail": {"tail_shape::fan-shaped_tail"},
    "white upper tail; the undertail is black": {"upper_tail_color::white", "under_tail_color::black"},
    "yellow eyes": {"eye_color::yellow"},
    "yellow eye ring, red eyes": {"head_pattern::eyering", "eye_color::red"},
    "an eye ring on the head": {"head_pattern::eyering"},
    "very small size": {"size::very_small_(3_-_5_in)"},
    "a small-sized bird with red wings": {"size::small_(5_-_9_in)", "wing_color::red"},
    "primarily red": {"primary_color::red"},
    "a duck-like shape": {"shape::duck-like"},
}


@pytest.mark.parametrize("text", BIRD_TEXTS)
def test_values_of_groups(text):
    said, denied = read(text)
    assert said == {name.removeprefix("has_") for name in BIRD_TEXTS[text]}
    assert not denied


BEAST_TEXTS = {
    "A black, striped animal with hooves": ({"black", "stripes", "hooves"}, set()),
    "long legs and a long neck": ({"longleg", "longneck"}, set()),
    "long-legged": ({"longleg"}, set()),
    "antlers": ({"horns_or_antlers"}, set()),
    "a long bushy tail": ({"long_tail"}, set()),
    "its tail is long": ({"long_tail"}, set()),
    "long neck, short tail": ({"longneck", "short_tail"}, set()),
    "long neck short tail": ({"longneck", "short_tail"}, set()),
    "it has 4 legs": ({"four_legs"}, set()),
    "it has no legs and swims": ({"no_legs", "swims"}, set()),
    "swimming, tan": ({"swims", "yellow_or_tan"}, set()),
    "lives on grasses": ({"on_grass"}, set()),
    "buck teeth": ({"buckteeth"}, set()),
    "black, no stripes": ({"black"}, {"stripes"}),
    "black without hooves, horns or a tail": ({"black"}, {"hooves", "horns_or_antlers", "tail"}),
    "It isn’t black. It swims": ({"swims"}, {"black"}),
    "it lacks horns but swims": ({"swims"}, {"horns_or_antlers"}),
    "neither hooves nor horns": (set(), {"hooves", "horns_or_antlers"}),
    "no hooves, and black": ({"black"}, {"hooves"}),
}


@pytest.mark.parametrize("text", BEAST_TEXTS)
def test_plain_names_and_denials(text):
    assert read(text, ANIMALS) == BEAST_TEXTS[text]


def test_a_denied_value_leaves_its_group_alone():
    reading = read_attributes("the crown is not red", BIRDS)
    assert (reading.said, reading.denied, reading.excluded) == ((), ("has_crown_color::red",), ())


def test_numbers():
    # The upper half of 0..10 is 8 and 10, the lower 0 and 2, the mean 5.
    reading = read_attributes("red crown, the belly is not white", BIRDS)
    told = {"has_crown_color::red": 9, "has_crown_color::white": 1, "has_crown_color::black": 1, "has_belly_color::white": 1}
    assert dict(zip(BIRDS.names, reading.values.tolist(), strict=True)) == {name: told.get(name, 5) for name in BIRDS.names}
    assert reading.excluded == ("has_crown_color::white", "has_crown_color::black")
    assert reading.values.dtype == np.float32


def test_typical_values():
    low, mean, high = typical_values(np.array([[0, 3, -1], [1, 3, -2], [9, 3, -3], [10, 3, -10]]))
    np.testing.assert_allclose(low, [0.5, 3, -10])
    np.testing.assert_allclose(mean, [5, 3, -4])
    np.testing.assert_allclose(high, [9.5, 3, -2])


def test_what_was_not_understood_is_told():
    reading = read_attributes("A fluffy bird with a red crown, a purple belly and red RED fluff", BIRDS)
    assert reading.unread == ("fluffy", "purple", "belly", "red", "fluff")
    sentence = reading.sentence()
    assert "understood has_crown_color::red" in sentence
    assert "2 other values" in sentence
    assert "'fluffy'" in sentence


@pytest.mark.parametrize("text", ["", "   ", "the and", "no", "a purple cow", "ein roter Vogel", "красный", "🐦", "-- . , ;"])
def test_nothing_understood(text):
    with pytest.raises(InputError, match="nothing is understood") as raised:
        read_attributes(text, BIRDS)
    assert "\n" not in str(raised.value)


def test_a_contradiction():
    with pytest.raises(InputError, match="both say and deny an attribute. Received: 'black' in both ways"):
        read_attributes("It is black. It is not black.", ANIMALS)


def test_no_seen_class_is_described():
    with pytest.raises(InputError, match="needs seen classes with descriptions"):
        read_attributes("black", Knowledge(np.zeros((0, 1)), ("black",), ("",)))


def test_names_without_words():
    odd = Knowledge(np.eye(3, dtype=np.float32), ("---", "a::b", "::"), ("", "a", ""))
    with pytest.raises(InputError, match="nothing is understood"):
        read_attributes("black", odd)


@pytest.mark.parametrize("words", ["striped stripes stripe", "spotted spots", "barred bars", "flys flies flying", "leg legged"])
def test_words_of_one_stem(words):
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize("word", ["red", "wing", "grass", "bulbous", "king"])
def test_words_that_keep_their_ending(word):
    assert stem(word) == word


def test_every_rendered_species_is_read_from_its_captions():
    random = np.random.default_rng(0)
    species = choose_species(20, random)
    values = np.stack([each.attributes for each in species]).astype(np.float32)
    seen = Knowledge(values, ATTRIBUTE_NAMES, tuple(map(group_of, ATTRIBUTE_NAMES)))
    for each in species:
        reading = read_attributes("\n".join(captions(each, random)), seen)
        np.testing.assert_array_equal(reading.values, each.attributes)


@pytest.mark.real_data
def test_names_of_published_data_sets(shared_data):
    _, names = read_numbered_names(shared_data / "cub/attributes.txt")
    text = "a bill with a spatulate shape; the back is multi-colored, no striped belly; capped head"
    said, denied = read(text, knowledge(names))
    assert said == {"bill_shape::spatulate", "back_pattern::multi-colored", "head_pattern::capped"}
    assert denied == {"belly_pattern::striped"}
    for name in names:
        value = name.partition("::")[2].partition("_(")[0].replace("_", " ").replace("-", " ")
        group = group_of(name).replace("_", " ")
        assert read(f"its {group} is {value}", knowledge(names))[0] == {name.removeprefix("has_")}, name
    _, names = read_numbered_names(shared_data / "awa2/Animals_with_Attributes2/predicates.txt")
    text = "Big, hairless, swims in the ocean and eats plankton. No fur, hooves or claws, not fierce."
    said, denied = read(text, knowledge(names))
    assert said == {"big", "hairless", "swims", "ocean", "plankton"}
    assert denied == {"furry", "hooves", "claws", "fierce"}
    table = read_class_table(shared_data / "animals/classes.csv").knowledge
    assert read("small body, floppy ears", table)[0] == {"small_body", "floppy_ears"}


OWN = (
    "furry", "feathered", "wings", "hooves", "claws", "horns", "striped", "spotted", "brown", "long_tail", "pointed_ears",
    "long_ears", "four_legs",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said", "denied"),
    [
        # A denial goes on through a list of things that are lacked, but not to what the class is.
        ("It lacks hooves, horns and claws.", "", "hooves horns claws"),
        ("Without hooves, claws, and with wings.", "wings", "hooves claws"),
        ("Without stripes, brown and furry.", "brown furry", "striped"),
        ("No stripes, brown, with wings.", "brown wings", "striped"),
        # A denial may be a label.
        ("Lacks: hooves, horns, fur. Has: claws, wings.", "claws wings", "hooves horns furry"),
        ("Without: hooves, horns. With: fur.", "furry", "hooves horns"),
        ("No: hooves, horns and claws.", "", "hooves horns claws"),
        ("Not: striped, spotted.", "", "striped spotted"),
        ("Coat: no stripes, brown.", "brown", "striped"),
        ("Striped? No. Spotted? Yes.", "spotted", "striped"),
        # Words of a name on both sides of a colon.
        ("Tail: long. Fur - none.", "long_tail", "furry"),
        ("Ears: long, pointed; legs: four.", "long_ears pointed_ears four_legs", ""),
        ("Ears: not pointed.", "", "pointed_ears"),
        ("Long, pointed ears.", "long_ears pointed_ears", ""),
        # One word, whatever its ending.
        ("It has feathers, without fur.", "feathered", "furry"),
        ("No feathers or claws.", "", "feathered claws"),
    ],
)  # fmt: skip
def test_lists_of_what_is_lacked_and_labels(text, said, denied):
    found, against = read(text, knowledge(OWN))
    assert (found, against) == (set(said.split()), set(denied.split()))


@pytest.mark.parametrize(
    ("text", "said", "partly", "denied"),
    [
        # Adjectives of a list belong to the noun at its end.
        ("It has a long, brown tail.", "long_tail", "brown", ""),
        ("The tail is bushy and long.", "long_tail", "", ""),
        ("The tail is bushy, quite long and tipped with white; erect ears.", "long_tail", "", ""),
        ("Its ears are large and pointed, the tail is bushy and not long.", "pointed_ears", "", "long_tail"),
        ("The tail is bushy rather than long.", "", "", "long_tail"),
        ("The tail is thick and long whiskers grow; it is spotted.", "spotted", "", ""),
        ("A long brown tail.", "long_tail", "brown", ""),
        ("A long and pointed pair of wings; long, thin ears.", "wings long_ears", "", ""),
        # What nobody is more than is so.
        ("No other animal is more furry.", "furry", "", ""),
        ("Nothing is furrier.", "furry", "", ""),
        ("Nothing is striped.", "", "", "striped"),
        # What would be is not.
        ("Brown. It would be furry if it lived higher.", "brown", "", ""),
        ("It is not striped, and it would be furry if it were a bear.", "", "", "striped"),
        ("If it had horns, it would be spotted. Brown.", "brown", "", ""),
        ("Too brown to be striped.", "brown", "", "striped"),
        ("Stripes disappear with age. Horns are rare.", "", "", "striped horns"),
        ("Not a trace of stripes; neither sex has horns.", "", "", "striped horns"),
        ("Some have horns, most have wings.", "wings", "horns", ""),
        ("Fewer stripes than a zebra.", "", "striped", ""),
        ("Un-striped, semi-furry.", "", "furry", "striped"),
    ],
)  # fmt: skip
def test_lists_of_adjectives_and_what_is_so_only_in_part(text, said, partly, denied):
    reading = read_attributes(text, knowledge(OWN))
    found = [set(names) for names in (reading.said, reading.partly, reading.denied)]
    assert found == [set(names.split()) for names in (said, partly, denied)]


def test_nothing_but_a_part_has_it():
    for text in ("Nothing about it is red except the crown.", "Apart from the crown nothing is red."):
        reading = read_attributes(text, BIRDS)
        assert (reading.said, reading.denied) == (("has_crown_color::red",), ("has_primary_color::red",))


_PART_NAMES = (
    *(f"has_{part}_color::{color}" for part in ("crown", "wing", "tail") for color in ("red", "blue", "black")),
    "has_wing_pattern::spotted",
)


@pytest.mark.parametrize(
    ("text", "said", "denied"),
    [
        # "It" is the part that was spoken of, where that was denied something or the sentence goes on.
        ("The crown is anything but red; it is blue.", "crown_color::blue", "crown_color::red"),
        ("Its crown used to be red. Now it is blue.", "crown_color::blue", "crown_color::red"),
        ("The young have a blue crown; adults a red one.", "crown_color::red", ""),
        ("Crown never blue; always red.", "crown_color::red", "crown_color::blue"),
        ("Wings aren't red, they're blue.", "wing_color::blue", "wing_color::red"),
        ("Other than the red crown it is black.", "crown_color::red wing_color::black tail_color::black", ""),
        ("Minus the red crown, it has blue wings.", "wing_color::blue", "crown_color::red"),
        ("The wings are blue, having lost the red.", "wing_color::blue", "wing_color::red"),
        ("The crown is red. It is blue.", "crown_color::red wing_color::blue tail_color::blue", ""),
        # What stands between commas after "unlike" is not what is spoken of.
        ("The wings, unlike the crown, are blue.", "wing_color::blue", ""),
        # "Lacks" goes on to the next verb.
        ("It lacks a red crown, blue wings and a black tail.", "", "crown_color::red wing_color::blue tail_color::black"),
        ("It lacks a red crown and a black tail.", "", "crown_color::red tail_color::black"),
        ("It lacks a red crown and has a black tail.", "tail_color::black", "crown_color::red"),
        ("It lacks a red crown and the tail is black.", "tail_color::black", "crown_color::red"),
        ("It lacks a red crown, but has blue wings.", "wing_color::blue", "crown_color::red"),
        # Spots of the crown are not those of the wings, nor is their colour that of the bird.
        ("The crown is red with black spots.", "crown_color::red", ""),
    ],
)
def test_of_what_a_clause_speaks(text, said, denied):
    found, against = read(text, knowledge(_PART_NAMES))
    assert (found, against) == (set(said.split()), set(denied.split()))


@pytest.mark.parametrize(
    ("text", "kilos"),
    [
        ("It weighs two kilos.", 2.0), ("It weighs two to three kilos.", 2.5), ("It weighs twenty-two kilos.", None),
        ("It weighs one hundred and two kilos.", None), ("It weighs thirty two kg.", None),
    ],
)  # fmt: skip
def test_numbers_in_words_are_read_whole_or_not_at_all(text, kilos):
    _, found = without_quantities(text.lower())
    assert [quantity.in_unit("kg") for quantity in found.values()] == ([] if kilos is None else [kilos])


def test_endings_and_preferences_that_look_alike():
    assert stem("reddish") == stem("red") and stem("bluish") == stem("blue") and stem("purplish") == stem("purple")
    assert stem("finish") != stem("fins") and stem("sluggish") != stem("slugs")
    nests = knowledge(("nests", "fields", "forest"))
    assert read("It prefers tall trees to nest in.", nests) == ({"nests"}, set())
    assert read("It prefers the forest to fields.", nests) == ({"forest"}, {"fields"})


@pytest.mark.parametrize(
    "text",
    ["Unlike most birds, it has a red crown.", "white and, unlike most, a red crown", "Unlike all, it has a red crown."],
)
def test_what_is_unlike_most_is_of_the_class(text):
    said, denied = read(text)
    assert "crown_color::red" in said and not denied


KINDS = (
    "furry", "spotted", "striped", "black", "white", "brown", "orange", "big", "small", "fierce", "leather", "wooden", "square",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A small brown animal found in Asia.", "small brown"),
        ("a small brown monkey from Brazil", "small brown"),
        ("small furry animal living in trees", "small furry"),
        ("The dormouse is a small furry animal living in trees.", "small furry"),
        ("a fierce black cat native to Africa", "fierce black"),
        ("The tiger is a big, fierce, orange cat with black stripes.", "big fierce orange black striped"),
        ("A lynx is a medium-sized, spotted cat that hunts at night.", "spotted"),
        ("Black leather shoes.", "black leather"),
        ("Small square wooden table.", "small square wooden"),
        # Of another kind, or of one kind of those.
        ("It is fierce. The red fox and the white rabbit are not far.", "fierce"),
        ("It is fierce and preys on a black rat.", "fierce"),
        ("Black, bigger than a fox.", "black"),
    ],
)
def test_where_and_what_it_is_does_not_hide_how_it_looks(text, said):
    assert read(text, knowledge(KINDS))[0] == {*said.split()}


def test_what_is_less_than_another_has_it_in_part():
    assert read_attributes("It is less furry than a bear.", knowledge(KINDS)).partly == ("furry",)


def test_attributes_with_words_that_were_not_understood_are_named():
    reading = read_attributes("Four legs, and the whiskers are long.", ANIMALS)
    assert reading.near == ("longleg", "longneck", "long tail")
    assert "not understood 'whiskers', 'long'; attributes with such words: 'longleg', 'longneck'" in reading.sentence()
    assert read_attributes("Four legs.", ANIMALS).near == ()
    with pytest.raises(InputError, match="such as 'long tail', 'short tail'"):
        read_attributes("The tail is bushy.", knowledge(["black", "long_tail", "short_tail"]))
    left = read_attributes("Black, a flat yellow beak.", knowledge(["black", "yellow", "yellow_legs"]))
    assert "yellow" in left.unread and left.near == ("yellow legs",)
