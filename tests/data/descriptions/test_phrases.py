"""What people write in several words, and texts as pages and programs leave them."""

from __future__ import annotations

import pytest

from niwt_tf.data.descriptions.quantities import without_quantities
from niwt_tf.data.descriptions.tokens import unwrapped
from tests.data.descriptions.test_field_guide import read

_LONG = "The wren is a small bird of the fens whose crown is"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"{_LONG} blue\nrather than red.", f"{_LONG} blue rather than red."),
        ("The breast is not\nspotted.", "The breast is not spotted."),
        (f"{_LONG} red.\nwings green", f"{_LONG} red.\nwings green"),
        ("Horns: no\nhooves: yes", "Horns: no\nhooves: yes"),
        ("- no horns\n- not striped", "- no horns\n- not striped"),
        ("a bird with a red crown and with green wings\na bird with a blue tail", None),
        ("The bill is cone-\nshaped.", "The bill is cone-shaped."),
        ("A red\u00a0 crown,  \t fea\u00adthers on its \ufb01ns; cone\u2011shaped.",
         "A red crown, feathers on its fins; cone-shaped."),
        ("The crown is red.\r\n\r\nThe tail is not\r\nforked.", "The crown is red.\n\nThe tail is not forked."),
    ],
)  # fmt: skip
def test_lines_that_go_on_are_joined(text, meant):
    assert unwrapped(text) == (text if meant is None else meant)


@pytest.mark.parametrize(
    ("table", "text", "meant"),
    [
        ("birds", "The breast is spotted, at least in spring.", {"~breast_pattern::spotted"}),
        ("birds", "No other wren has a blue tail.", {"+tail_color::blue"}),
        ("birds", "No other wren has so blue a tail.", {"+tail_color::blue"}),
        ("birds", "The crown, which is black in the other species, is white here.", {"+crown_color::white"}),
        ("birds", "The tail is blue in some individuals.", {"~tail_color::blue"}),
        ("birds", "Most have a red crown. Some birds have a yellow crown.", {"+crown_color::red", "~crown_color::yellow"}),
        ("birds", "The tail is black (white in the female).", {"+tail_color::black", "~tail_color::white"}),
        ("birds", "It has a blue (not green) crown.", {"+crown_color::blue", "-crown_color::green"}),
        ("birds", "Crown: red / Wings: green", {"+crown_color::red", "+wing_color::green"}),
        ("birds", "Black/white wings. Crown & tail red.",
         {"+wing_color::black", "+wing_color::white", "+crown_color::red", "+tail_color::red"}),
        ("birds", "The breast is white, finely striped.", {"+breast_color::white", "+breast_pattern::striped"}),
        ("birds", "The breast is not\nspotted.", {"-breast_pattern::spotted"}),
        ("birds", "Stripes lacking on the breast.", {"-breast_pattern::striped"}),
        ("birds", "A pink tail is never seen.", {"-tail_color::pink"}),
        ("birds", "Wing bars are sometimes present.", {"~wing_pattern::barred"}),
        ("birds", "Crown green; in some individuals yellow.", {"+crown_color::green", "~crown_color::yellow"}),
        ("birds", "The wings are green, whereas those of its relatives are blue.", {"+wing_color::green"}),
        ("cub", "The eye is surrounded by a white eyering.", {"+head_pattern::eyering"}),
        ("cub", "A white eyebrow separates the black eyeline from the brown crown.",
         {"+head_pattern::eyebrow", "+head_pattern::eyeline", "+crown_color::brown"}),
        ("birds", "The breast may or may not be spotted.", {"~breast_pattern::spotted"}),
        ("birds", "The bill is not black, as it is in the fen wren, but ivory.", {"-bill_color::black", "+bill_color::ivory"}),
        ("birds", "Breast white with bold stripes.", {"+breast_color::white", "+breast_pattern::striped"}),
        ("awa2", "Fast, despite its weak legs; in small groups.", {"+fast", "+group"}),
        ("own", "Its tail, 25 cm in length, is brown.", {"tail_length_mm=250"}),
        ("own", "A white-bellied animal.", {"+belly colour: white"}),
        ("cub", "Unlike the male, the female has a grey throat.", {"~throat_color::grey"}),
        ("cub", "The bill is black, and cone-shaped.", {"+bill_color::black", "+bill_shape::cone"}),
        ("awa2", "Gray at birth, it turns brown with age.", {"+brown"}),
        ("awa2", "The bulls grow tusks; the cows have none.", {"~tusks"}),
        ("awa2", "It has a bushy tail.", {"+tail"}),
        ("awa2", "There are no stripes on its gray body.", {"-stripes", "+gray"}),
        ("own", "It has seven legs.", {"legs=7"}),
        ("own", "Weighing up to 25 kilograms.", {"weight_kg=25"}),
        # A finish is no removal, and what a thing is called or used for ends where the clause does.
        ("goods", "The upper is washed leather. The steel is polished.", {"+upper_material::leather", "+steel"}),
        ("birds", "It is called the blue finch and has a red crown.", {"+crown_color::red"}),
        ("flowers", "petals - born no", set()),
        # What belongs to what is told by the order alone.
        ("birds", "The crown, wings and tail are red, blue and green respectively.",
         {"+crown_color::red", "+wing_color::blue", "+tail_color::green"}),
        ("birds", "Crown and wings are, in that order, red and green.", {"+crown_color::red", "+wing_color::green"}),
        ("birds", "Respectively green and black wings and tail.", set()),
        ("birds", "The crown has gone from red to blue.", {"-crown_color::red", "+crown_color::blue"}),
        ("birds", "The crown isnt red. The tail is black.", {"-crown_color::red", "+tail_color::black"}),
        ("birds", "A red crown does not occur.", {"-crown_color::red"}),
        ("birds", "A tail bereft of red.", {"-tail_color::red"}),
        ("birds", "The supposedly red crown is blue.", set()),
        ("birds", "Red everywhere but on the wings.",
         {"+crown_color::red", "+tail_color::red", "+breast_color::red", "-wing_color::red"}),
        ("birds", "The crown is nearly red.", {"~crown_color::red"}),
        ("birds", "No individual with a red crown is known.", {"-crown_color::red"}),
        ("birds", "Nothing but green wings.", {"+wing_color::green"}),
        ("birds", "Red wings have yet to be seen.", {"-wing_color::red"}),
        ("birds", "\u2717 red wings \u2713 green wings", {"-wing_color::red", "+wing_color::green"}),
        ("birds", "Red wings \u274c; green wings \u2705", {"-wing_color::red", "+wing_color::green"}),
        ("birds", "\u2642 red crown, \u2640 brown crown.", {"~crown_color::red", "~crown_color::brown"}),
        ("birds", "ad. crown red, juv. crown brown", {"+crown_color::red"}),
        ("birds", "1st year: crown brown. Adult: crown red.", {"+crown_color::red"}),
        ("birds", "Crown&nbsp;red; wings green &amp; black.",
         {"+crown_color::red", "+wing_color::green", "+wing_color::black"}),
        ("birds", "Wings \u2260 red. Tail green.", {"-wing_color::red", "+tail_color::green"}),
        ("birds", "RED TAIL, GREEN WINGS!", {"+tail_color::red", "+wing_color::green"}),
        ("birds", "Unlike the Red-winged Blackbird, it has green wings.", {"+wing_color::green"}),
        ("birds", 'The so-called "red" crown is blue.', {"+crown_color::blue"}),
        ("birds", "The \u201cred\u201d crown is in fact blue.", {"+crown_color::blue"}),
        ("birds", 'Crown: "red"; tail "green".', {"+crown_color::red", "+tail_color::green"}),
        ("birds", "The bill, usually orange, is black here.", {"+bill_color::black"}),
        ("birds", "The bill, usually orange, is hooked.", {"+bill_color::orange", "+bill_shape::hooked"}),
        ("birds", "Crown and tail are all green, except the tail, which is red.",
         {"+crown_color::green", "-tail_color::green", "+tail_color::red"}),
        ("birds", "It is a fan, green with a white tip.", {"+tail_shape::fan"}),
        ("birds", "The breast ranges from white to pink.", {"~breast_color::white", "~breast_color::pink"}),
        ("cub", "Crown striped black and white.", {"+crown_color::black", "+crown_color::white"}),
        ("cub", "Breast grey, spotted black.", {"+breast_color::grey", "+breast_pattern::spotted"}),
        ("cub", "White body, grey wings.", {"+primary_color::white", "+wing_color::grey"}),
        ("cub", "Crown black; eyebrow white and broad.", {"+crown_color::black", "+head_pattern::eyebrow"}),
        ("cub", "Females are plain brown.", {"~primary_color::brown"}),
        ("awa2", "It is strong and gives way to lions.", {"+strong"}),
        ("awa2", "It is anything but: cornered, it uses its claws.", {"+claws"}),
        ("awa2", "It is anything but timid.", {"-timid"}),
        ("awa2", "Domestic cats are smaller. This one has spots.", {"+spots"}),
        ("awa2", "Although called a sea cow, it has no horns.", {"-horns"}),
        ("awa2", "Less active in winter, though it doesn't hibernate.", {"~active", "-hibernate"}),
        ("awa2", "Blue above, white below. Lives in herds; intelligent.", {"~blue", "~white", "+group", "+smart"}),
    ],
)  # fmt: skip
def test_what_is_said_in_several_words(table, text, meant):
    found = read(table, text)
    assert found == meant


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [("25 kilograms", "mass", 25), ("12 kilometres", "length", 12000), ("3 miles", "length", 4828.032),
     ("60 kilometres per hour", "speed", 60), ("30 miles per hour", "speed", 48.28032), ("3kg-5kg", "mass", 4)],
)  # fmt: skip
def test_units_are_whole_words(text, kind, amount):
    (found,) = without_quantities(text)[1].values()
    assert (found.kind, found.amount) == (kind, pytest.approx(amount))
