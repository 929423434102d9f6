"""What people write in several words, put into words that the reader of sentences knows."""

from __future__ import annotations

import re

_FROM = "(?: from [^,.;\n]{1,60}?(?:, (?:which|whose) [^,.;\n]*,)?)?"
_TOLD = (
    "(?:(?:can|may|could|might) )?(?:(?:easily|readily|always|best|also) )*(?:(?:be|is|are) )?(?:(?:easily|readily|best) )*"
    f"(?:(?:told|distinguished|recogni[sz]ed|separated|identified)(?: apart)?{_FROM} by|differs?{_FROM} (?:by|in))(?: having)?"
)
_COLOR_WORDS = "(?:black|white|gr[ea]y|red|yellow|green|blue|brown|pink|orange|buff|rufous|purple|olive)"
_MEMBERS = "(?:birds|animals|individuals|specimens|populations|cases|races|subspecies|forms|areas|regions|places|plumages)"
_OF_KIND = (
    "(?!(?:adults?|young|juvenile|immature|all|most|many|both|these|those|the|this|some|few|certain|other|no|such|any|of|like|than"
    "|unlike|as|and|or|in|two|three|several|various|different|their|its)\\b)[\\w-]+ (?:birds|animals|individuals|specimens)"
)
_REALLY = "(?:actually|really|in fact|in reality)"
_SEXES = "(?:males?|females?|cocks?|hens?|bulls?|cows?|juveniles?|immatures?|young|adults?|summer|winter)"
_PRESENT = (
    "(?:seen|found|present|recorded|shown|observed|noted|visible|known|included|supplied|provided|confirmed|detected|noticed"
    "|evident|needed|required)"
)
_IS = "(?:is|are|was|were|(?:has|have) been)"
_HAS = "(?:has|have|shows?|boasts?|combines?|bears?|wears?|carries|carry|displays?|sports?|possess(?:es)?|exhibits?)"
_UNDONE = (
    "(?:(?:cleaned|polished|washed|rubbed) (?:off|out|away)|repaired|removed|corrected|eliminated|rectified"
    "|dropped|discontinued|omitted|(?:broken|snapped|torn|fallen) (?:off|away))"
)
_NO_NOUN = "(?:and|or|but|it|they|he|she|that|which|who)"
_PART_OF = "(?:tips?|base|end|sides?|middle|centre|center|root|(?:upper|lower|outer|inner) half)"
_STATE = (
    "(?:closed|open|opened|spread|folded|wet|dry|perched|worn|fresh|excited|alarmed|disturbed|displaying|resting|raised|swimming"
    "|running|hot|cold|new)"
)
_BOTH = "(?:males? and (?:the )?females?|females? and (?:the )?males?|cocks? and (?:the )?hens?|bulls? and (?:the )?cows?)"
# What several words say together, and the one word that says it here.
_TOGETHER = [
    (re.compile(rf"\b(?:{pattern})(?!\w)"), said)
    for pattern, said in (
        # "Everything but the white belly is black."
        (
            r"every(?:thing|where) (?:but|except(?: for)?|save|other than|apart from) ((?:the|its) [^,.;\n]{1,30}?) (is|are)",
            r"except \1, it \2",
        ),
        ("whether", "either"),
        (r"(?:juv|imm)s?\.?", "juvenile"),
        (r"ads?\.", "adult"),
        ("nothing (?:but|except|other than)", "only"),
        (rf"(?:almost|nearly)(?= {_COLOR_WORDS}\b)", "partly"),
        ("(?:have|has|is|are) (?:yet|about) to(?: be)?", "not"),
        (r"(is|are|was|were|does|do|did|has|have|had)nt", r"\1n't"),
        (r"(?:(?:has|have) )?(?:turned|changed|gone|faded|passed) from (\w+) (?:in)?to", r"is not \1 but"),
        ("everywhere (?:but|except|save)(?: for)? (?:on|in)", "except"),
        (r"if (\w+) at all", r"perhaps \1"),
        # Of a part of a part: "the tip of the tail is white".
        (f"{_PART_OF} of (?:the|its|their)", "partly the"),
        ("(?:as long as|(?:of )?(?:about )?the same length as|equal in length to) (?:the|its) head", "the same as the head"),
        (r"(it|they|(?:the|this) (?:animal|species|bird)) (?:is|are) (?:absent|missing) from", r"\1 lacks"),
        ("(?:also|optionally) (?:comes?|available|offered|sold) (?:in|as|with)", "sometimes"),
        (r"forms?(?= (?:is|are|has|have|from|found|occurs?|lacks?)\b)", "morph"),
        # "The black crown of the male is replaced by a brown one in the female."
        (rf"(?:is|are) replaced by (?=[^,.;\n]*\bin (?:the )?{_SEXES}\b)(\w+)", r", \1"),
        (r"(?:(?:about|roughly|nearly) )?(?:of )?the size of an? (?:small |large |big )?\w+", ""),
        # "The hooves are replaced by pads", "a zip replaces the laces".
        (
            rf"((?:the |its |their )?(?!{_NO_NOUN}\b)\w+)(?: of [^,.;\n]{{1,40}}?)? "
            rf"(?:{_IS} (?:\w+ly )?(?:replaced|superseded|supplanted) (?:by|with)|(?:has given|have given|gives?|gave) way to)",
            r"no \1, but",
        ),
        (r"(?:do|does|should|must) not (?:be )?(?:put |placed? |used? )?(?:it )?(?:in (?:the|a) )?"
         r"(microwave|dishwasher|oven|freezer)d?", r"not \1 safe"),
        (rf"({_COLOR_WORDS}) at (?:the|its) (?:tip|end|base|edges?|sides?)", r"partly \1"),
        ("at (?:the|its) (?:tip|end|point)", ""),
        ("(?:race|subspecies|variety|phase|morph)(?= of\\b)", "kind"),
        # Of where some live: "southern birds have a buff belly".
        (rf"(?:(?:north|south|east|west)(?:ern|east\w*|west\w*)?|island|inland) {_MEMBERS}", "morph"),
        # "Dark birds are brown", "yellowish in old animals".
        (rf"(?<![\w,] ){_OF_KIND}(?= (?:are|have|show|lack|may|turn|become|lose|wear)\b)", "morph"),
        (rf"in {_OF_KIND}", "in morph"),
        (rf"{_MEMBERS} (?:in|of|from) the (?:far )?(?:(?:north|south|east|west)\w*|islands?)", "morph"),
        ("(?:replaces?|supersedes?)(?: the| its)?(?: (?:usual|old|earlier|former))?", "instead"),
        ("(?:slow|quick|fast) to (?!the\\b|an?\\b)\\w+", ""),
        ("(?:is|are|being) (?:sold|available) (?:separately|apart)", "is absent"),
        ("(?:were it|if it were|had it|if it had) not (?:been )?for", "it has"),
        (r"(?:faux|imitation|artificial|fake|mock|simulated) (\w+)", r"not \1"),
        (r"(\w+)-(?:look|effect)", r"not \1"),
        ("or,? (?:very |more )?(?:rarely|seldom),?", "or sometimes"),
        (r"(?:closely |distantly )?(?:related|akin) to|(?:descended|descends?) from", "unlike"),
        ("(?:is|are) (?:an )?optional(?: extras?)?", "may be"),
        ("with or without", "with sometimes"),
        ("(?:never|not|rarely|seldom) (?:strays? |ventures? )?far from", "near"),
        (r"(\w+) only (?:at night|by day|in (?:cold|warm|dry|wet|some|certain))", r"sometimes \1"),
        (r"(\w+) in (?:cold|warm|dry|wet|some|certain) \w+ only", r"sometimes \1"),
        (r"(?:avoid|shun|dislike|eschew)s? ((?:the )?(?:open |deep |dense )?\w+(?: (?:and|or) \w+)?(?=\s*(?:[,.;\n]|$)))",
         r"not \1"),
        ("(?:avoid|shun|dislike|eschew)s?", "unlike"),
        # "It can be told from the finch by its white tail", "it differs from the finch in its white tail".
        (_TOLD, "it has"),
        ("(?:nobody|no one|no-one) (?:has|have) (?:ever |yet )?(?:seen|observed|known|recorded|heard)", "never"),
        (f"no(?: \\w+){{1,3}} {_HAS} (?:such|so|as)", "it has"),
        ("(?:may|might|can) or (?:may|might|can)(?: ?not)(?: be| have)?", "may"),
        ("less (?:often|commonly|frequently|usually)|more rarely|at times|now and then|now and again|on occasion", "sometimes"),
        ("not (?:in|un)(?:frequently|commonly|usually)|not (?:rarely|seldom)", "often"),
        ("(?:first|second|hatch|1st|2nd)[ -](?:winter|year|summer)(?: (?:birds|animals|males?|females?))?", "young"),
        ("(?:spends?|passes|survives?) the (?:winter|summer)", ""),
        ("(?:goe?s?|does?|survives?|lives?) without", "unlike"),
        ("(?:and )?little (?:else|more)\\b", ""),
        ("once in a while|from time to time|every so often", "sometimes"),
        ("without exception", ""),
        ("i\\.e\\.|e\\.g\\.|if ever|if any|at all|at least|at most|no more than|no fewer than|more or less|such as", ""),
        ("(?:not|never) (?:(?:weighing|weighs|reaching|being) )?(?:more|less|over|under|longer|taller|heavier)"
         "(?: than)?(?= quantity)", ""),
        ("(?<!not )(?<!even )(?<!without )(?<!lacks )a (?:slight |faint )?(?:hint|trace|touch|suggestion) of", "slightly"),
        (f"(?:both )?(?:the )?{_BOTH}(?: alike)?(?! differ)", "both sexes"),
        (r"anything but(?=\s*(?:[,.:;\n]|$))", "otherwise"),
        ("(?:any|every)(?:thing|where) (?:but|except|save|other than|apart from)(?: for)?", "not"),
        ("no longer|no more|never,? ever|far from|by no means|in no way|fails? to", "not"),
        ("unable to|incapable of|any \\w+ but", "not"),
        ("(?:has|have|had|having) lost|(?:lost|loses?|sheds?|drops|dropped) (?:its|their|his|her|the|all|both)", "has no"),
        (
            "used to (?:be|have|show)|formerly|once had|"
            "(?<!at )(?<!more than )once(?! (?:a|the|it|they|in|every|grown|adult|mature|more)\\b)",
            "not",
        ),
        ("(?:half|some|a few) of (?:them|the \\w+)", "sometimes"),
        # What no other has or is, it has or is itself.
        (f"no other(?: \\w+){{1,5}} {_HAS}(?! (?:no|so|such|as)\\b)", "it has"),
        (rf"no(?:t (?:a single|one))? (?:specimen|individual|bird|animal)s? (?:with|{_HAS})(?! (?:so|such|as)\b)", "it has no"),
        ("no other(?: \\w+){1,2} (?:is|are)(?! (?:so|as|more|quite|found|known|seen)\\b)", "it is"),
        ("no other(?! (?:\\w+ ){0,2}(?:is|are)\\b)", "unlike"),
        ("(?:(?:for|during) )?the (?:rest|remainder) of the (?:year|time)|at other times(?: of (?:the )?year)?", ""),
        ("at (?:birth|hatching)|when (?:still )?(?:born|newborn|juvenile|immature|very young)|while (?:still )?young",
         "when young"),
        # "A pink tail is never seen", "wing bars are sometimes present".
        (rf"{_IS} (?:never|not|hardly ever) (?:been )?{_PRESENT}(?=\s*(?:[,.;\n]|$))", "is absent"),
        (rf"(?<=\w) not (?:{_PRESENT}|occur|exist)(?=\s*(?:[,.;\n]|$))", " is absent"),
        (rf"(?<=\w)(?<!been)(?<!were)(?<!was)(?<!are)(?<!now)(?<! is) {_UNDONE}(?=\s*(?:[,.;\n]|$))", " is absent"),
        (rf"{_IS} (?:since |later |now )?{_UNDONE}(?: (?:before|after|during|by|in|at|when) [^,.;\n]*)?(?=\s*(?:[,.;\n]|$))",
         "is absent"),
        # "The crack in the photo is in fact a scratch."
        (rf"((?:the|this) \w+)(?: (?:on|in|at|near|seen|found|reported|shown) [^,.;\n]{{0,40}}?)? {_IS} {_REALLY} (an?)",
         r"no \1 but \2"),
        (r"(quantity\d+x) (?:without|excluding|including|with) (?:the |its |an? )?\w+", r"\1"),
        (rf"when {_STATE}", "sometimes"),
        (r"(\w+) only (?:when|if|rarely|sometimes|occasionally)", r"sometimes \1"),
        ("at first|initially", "when young"),
        (rf"(?:led|kept|built|headed|guarded|raised|tended) by (?:an? |the |one |old |dominant )*{_SEXES}", ""),
        (f"few(?: other)? \\w+ {_HAS} (?:such|so|as)", "it has"),
        (r"(?<!is )(?<!are )(?<!very )little(?=\s*(?:[,.;\n]|$))", "sometimes"),
        ("(?:does|do|did) not (?:fear|avoid|shun|mind)", "likes"),
        (r"(?:grows?|growing) (?:up )?to (?:a height of )?(quantity\d+x)", r"height \1"),
        (rf"({_COLOR_WORDS})-(?:tipped|edged|based|rimmed|sided)", r"partly \1"),
        # "Neither wing is marked with white."
        ("(?:marked|adorned|decorated|patterned|flecked|dotted) (?:with|by)", ""),
        (r"(?:never|rarely|seldom) (?:leaves?|(?:strays?|ventures?) (?:far )?from)", "is always in"),
        (r"few(?: other)? \w+ (?:is|are)(?= (?:more|so|as|(?!other)\w{3,}er)\b)", "it is"),
        ("in (?:captivity|zoos)|in (?:poor|good|some|certain|strong|bad|bright) lights?", "sometimes"),
        ("(?:two|three|several|many|different) (?:colou?r )?(?:forms|morphs|types|varieties|phases)", "morph"),
        (r", (?:but |and |while )?others(?= \w)", ", some"),
        (r",? (?:but|though|albeit) (?:only |very )?(?:rarely|seldom|occasionally|sometimes)(?=[.;\n]|$)", " sometimes"),
        # "The dent that was found earlier is gone."
        (r"((?:the|any|this) \w+) (?:that|which) (?:was|were|had been) [^,.;\n]{1,40}? (is|are|was|were|has|have)", r"\1 \2"),
        ("later(?: on)?(?! than)|eventually", "in adults"),
        (rf"(?:is|are) (sometimes|occasionally|often|usually) {_PRESENT}(?=\s*(?:[,.;\n]|$))", r"are \1"),
        # What nobody is more than is so.
        ("(?:nothing|no(?: \\w+){1,3}) (?:is|are) (?:more|so|as|quite as)", "it is"),
        ("(?:nothing|no(?: \\w+){1,3}) (?:is|are)(?= (?!amber|copper|ginger|silver)\\w{3,}er\\b)", "it is"),
        ("(?:and |but )?nowhere else", ""),
        ("minus|sans|without (?:either|any|both)", "without"),
        ("(?:confused|compared) with|compared to|mistaken for|similar to|resembl(?:es|ing)|in contrast to|all but", "unlike"),
        ("not only|not just|not merely", ""),
        ("but also|as well as|together with|along with|in addition to", "and"),
        ("rather than|instead of|in place of|in lieu of|as opposed to", "instead"),
        ("with the exception of|except(?:ing)?(?: for)?|other than|apart from|aside from|save for|but for|excluding", "except"),
        ("not without|never without|not lacking", "with"),
        ("(?:is|are) without|(?:bare|free|(?:de)?void|destitute|bereft|stripped) (?:of|from)|(?:in the )?absence of",
         "without"),
        ("(?:hardly|scarcely|barely) (?:any|ever)|(?:almost|virtually|practically|next to) (?:no|never|none)", "no"),
        ("(?:no trace|nothing|zero|little or no|little to no|few if any)(?: of)?", "no"),
        ("not (?:always|usually|often|necessarily|all|every|entirely|wholly|completely|fully|commonly)", "partly"),
        ("(?:can|could|may|might)(?: also| sometimes)? be", "may"),
    )
]
# "Grey above, white below."
_SIDES = re.compile(r"\b(above|below)(?=\s*(?:[,.;:\n]|and\b|$))")
# "Other than the red crown it is black."
_BEFORE_IT = re.compile(r"((?:^|[.;]\s*)(?:except|unlike|instead)\b[^,.;:\n]*?)\s(?=(?:it|they|no|the (?:bird|animal|rest))\s)")
# "It prefers tall trees to nest in" prefers nothing to anything.
_DEEDS = (
    "be|breed|build|burrow|catch|climb|dig|dive|drink|eat|feed|find|fish|flee|fly|forage|get|go|graze|have|hide|hunt|lay|lie|live|"
    "make|move|nest|perch|raise|rest|roost|run|search|seek|sing|sit|sleep|spend|stand|stay|swim|travel|wade|walk|winter"
)
_ITS, _VERB = "(?:the|its|their|his|her)", "(?:is|are|was|were|has|have)"
_FEW = (
    "(?:only )?(?:about |roughly |nearly |almost )?(?:some|certain|a few|half|a (?:third|quarter|minority|small number))"
    "(?: of)?(?: all)?(?: the| these| its)?"
)
_ASIDE = "(?:, (?=is\\b|are\\b)|(?=[,.;\n]|$))"  # where an aside ends
_CLAUSE = r"(^|[,.;:\n] ?|\b(?:and|but|while|whereas|though|although|yet) )"
_THEIRS = "(?:enem(?:y|ies)|predators?|prey|rivals?|relatives?|cousins?|congeners?|competitors?|victims?|hosts?)"
_SEEMING = (
    "(?:suspected|supposed|apparent|(?:what|which) (?:appear|look|seem)(?:s|ed)?(?: to be| like)?|"
    "what (?:might|could|may) be (?:taken|mistaken) for)"
)
_TURNS_OUT = f"(?:turn(?:s|ed) out to be|prove[sd] to be|{_IS} (?:only|merely|just|{_REALLY}))"
_EDGED = "(?:bordered|edged|fringed|rimmed|outlined|bounded|framed|margined)"
_OTHERS = "(?:all |most |many |nearly |almost |the )*(?:other (?!parts|places)|others|related|allied|similar)"
_KIN = "(?:relatives|congeners|others|species)"
_USUALLY = "(?:usually|normally|generally|mostly|often|typically|commonly|elsewhere|otherwise)"
# "Too heavy to be small", "horns are rare", "un-spotted", "semi-striped".
_REWORDED = [
    (re.compile(r"\btoo (\w+) to(?: (?:be|have|show)\b)?"), r"\1, not"),
    (
        re.compile(
            r"\b((?:(?!(?:and|or|but|though|although|while)\b)\w+ )?\w+) (?:is|are) (?:rare|uncommon|scarce|exceptional)\b"
        ),
        r"rarely \1",
    ),
    (re.compile(r"\bun-(?=\w)"), "not "),
    (re.compile(rf"\b(striped|streaked|barred|spotted) ({_COLOR_WORDS}) and ({_COLOR_WORDS})\b"), r"\2 and \3, \1"),
    (re.compile(rf"\b(?:ranges|varies|range|vary)(?: in colou?r)? from ({_COLOR_WORDS}) to ({_COLOR_WORDS})\b"),
     r"is sometimes \1 and sometimes \2"),
    # "The bill, usually orange, is black here."
    (
        re.compile(rf", {_USUALLY} ({_COLOR_WORDS})(?: (?:or|and) ({_COLOR_WORDS}))?, (?={_IS} (?:\w+ )?{_COLOR_WORDS}\b)"),
        r", unlike \1 \2, ",
    ),
    (re.compile(r"\bunlike (?:most|many|all|almost all|nearly all)\b[^,.;:\n]*, ?"), ""),  # of no class in particular
    (re.compile(rf"\bprefer(?:s|red|ring)? ([\w ]{{1,40}}?) (?:over|to(?! (?:{_DEEDS})\b)) (?=\w)"), r"has \1 instead "),
    (re.compile(r", (?:and |but )?not ((?:its|the|their|his|her) [\w ]{1,40}?), (?=is\b|are\b)"), r", instead \1, "),
    (re.compile(r",? ((?:the|its|their|his|her) [\w ]{1,40}?) (?:excepted|excluded)\b"), r" except \1"),
    # "The mane is brown, and so is the tail": "the mane and the tail is brown".
    (re.compile(rf"({_ITS} [\w ]{{1,30}}?) ({_VERB} [^,.;\n]{{1,60}}?),? (?:and so|as) {_VERB} ({_ITS} \w+)"), r"\1 and \3 \2"),
    (re.compile(r"\b(?:has|have|is|are) (?:all |both |now |entirely )*(?:gone|disappeared|vanished)\b"), "is absent"),
    (re.compile(r"\bsemi-(?=\w)"), "partly "),
    # "Yellow in about half of all birds", "in some individuals".
    (re.compile(rf"\b(?:in|among|on) {_FEW} (?:\w+ )?{_MEMBERS}(?=\s*(?:[,.;:\n]|and\b|but\b|$))"), "sometimes"),
    # "The crown, which is black in the other species, is white", "whereas it is red in other finches".
    (re.compile(rf",? (?:which|that|while|whereas) [^,.;\n]*?(?<!than )\bin {_OTHERS}\b[^,.;\n]*{_ASIDE}"), " "),
    (re.compile(rf",? (?:while|whereas) (?:that|those) of (?:its |their )?(?:\w+ )?{_KIN}\b[^,.;\n]*{_ASIDE}"), " "),
    (re.compile(r", (?:just )?as (?:it is|they are|is|are)? ?(?:in|with) [^,.;\n]*(?:,(?= but\b)|(?=[,.;\n]|$))"), ""),
    (re.compile(r" as in (?:the|other|most|many|its|all) (?!female|male|adult|young)[^,.;\n]*"), ""),
    (re.compile(r", (?:just |much )?like (?:that|those) of [^,.;\n]*,"), ""),
    (re.compile(r", (?:just )?like ((?:the|its|their) [^,.;\n]{1,30}), (?=(?:is|are|has|have)\b)"), r" and \1 "),
    # "Born blind, it grows fur", "they are born brown but become white".
    (
        re.compile(r"(?:\b(?:al)?though )?(?:\b(?:is|are) )?\b(?:born|hatched) ([^,.;\n]*), (?=(?:it|they|he|she)\b)"),
        r"when young \1. ",
    ),
    (
        re.compile(r"\b(?:is|are) born ([^,.;\n]*?),? (?:but|and) (?=(?:later|then|soon|become|turn|grow|develop))"),
        r"when young \1. it ",
    ),
    (re.compile(rf"{_CLAUSE}(?:that|those) of (?:the |an? |its |their )*(?={_SEXES}\b)"), r"\1thatone of the "),
    (re.compile(rf"{_CLAUSE}(?=(?:that|those) of )"), r"\1unlike "),
    # "A white throat bordered by black".
    (re.compile(rf"\b{_EDGED} (?:\w+ )?(?:by|with|in) ({_COLOR_WORDS})(?=\s*(?:[,.;\n]|$|and\b))"), r"unlike \1"),
    (re.compile(r"\ball (\w+) but (?=(?:the|a|an|its|in|for)\b)"), r"\1, not "),
    # What only seems so: "it may look black but is in fact blue", "the suspected rust turned out to be a stain".
    (re.compile(rf"\b{_SEEMING} (?:an? |the )?([^,.;\n]{{1,40}}?) {_TURNS_OUT}"), r"not \1 but"),
    (
        re.compile(
            r"\b(?:may |might |can |often |sometimes )*(?:looks?|appears?|seems?)(?: to be)? ([^,.;\n]{1,40}?),?"
            rf" but (?:is|are) {_REALLY}"
        ),
        r"is not \1 but is",
    ),
    # "The crown is red, its wings are too."
    (
        re.compile(
            rf"({_ITS} [\w ]{{1,30}}?) ({_VERB} [^,.;\n]{{1,60}}?),? (?:and )?({_ITS} \w+) (?:is|are)"
            r" (?:too|as well|also|likewise)(?=[,.;\n]|$)"
        ),
        r"\1 and \3 \2",
    ),
    (re.compile(r"\b([^\W\d]{3,})-free\b"), r"no \1"),
    (re.compile(r"\b(?:safe|suitable|fit) (?:in|for)(?: use in)? (?:the |an? )?(\w+?)s?\b(?! (?:of|and|or)\b)"), r"\1 safe"),
    (re.compile(rf"\b({_IS}) (?:{_REALLY}|indeed)\b"), r"\1"),
    # "Gray when young, it turns brown": what follows is of the class again.
    (re.compile(r"\bwhen young, (?=(?:but )?(?:it|they|the adults?|adults?|later|then|soon)\b)"), "when young. "),
]
_MORE = "(?:larger|bigger|smaller|longer|shorter|taller|heavier|lighter)(?: \\w+)?"
# Clauses of what is done to it, of others that have to do with it, of what is asked of it, looked for or but believed.
# The rest of a clause, up to where another one says something of the class.
_TO_ITS_END = r"(?:(?!\b(?:but|while|whereas|though)\b|\band (?:is|are|has|have|it|they|the)\b)[^,.;\n])*"
_OF_NO_CLASS = [
    re.compile(pattern)
    for pattern in (
        r"(?:\b(?:is|are|was|were|been|being) (?:\w+ ){0,2}?)?\b(?:hunted|preyed (?:up)?on|eaten|trapped|killed|poached)\b"
        r"(?: \w+){0,2}? (?:for|by)\b(?:(?!\b(?:but|while|whereas)\b)[^,.;\n])*",
        rf"\b(?:its|their) (?:\w+ ){{0,2}}?{_THEIRS} (?:is|are|has|have|was|were|includes?|can)\b[^,.;\n]*(?:, an? [^,.;\n]*)*",
        rf"{_CLAUSE}(?:the |its |their |both )*(?:\w+ )?(?:eggs?|nests?|clutch(?:es)?|droppings|tracks|food)"
        r" (?:is|are|has|have|was|were)\b(?:(?!\b(?:but|while|whereas)\b)[^,.;\n])*",
        r"[^.;\n]*\b(?:respectiv\w+|in (?:that|this|the same) order)\b[^.;\n]*",
        r"\b(?:check|inspect(?:ed)?|test(?:ed)?|examined?|screen(?:ed)?)(?: \w+){0,3} for\b[^.;\n]*",
        r"(?:^|(?<=[.;]))[^.;\n]*\b(?:acceptable|permitted|permissible|allowed|tolerated)\b[^.;\n]*",
        r"\b(?:do not|don't|not to be|never) (?:confuse|mistake|mix up)(?: \w+)? (?:with|for)\b[^,.;\n]*(?:, which [^,.;\n]*)?",
        r"\b(?:reports?|claims?|rumou?rs?|(?:the|a) (?:idea|belief|notion)) that [^,.;\n]* (?:is|are) "
        r"(?:false|untrue|wrong|unfounded)\b",
        r"\b(?:people|many|some|(?:it|they) (?:is|are)(?: \w+)?) "
        r"(?:think|believe|assume|claim|say|thought|believed|assumed|claimed|said)\b[^,.;\n]*(?=,? but\b)",
        # "Once thought to be a finch, it is blue", "it is said to weigh 9 kg, but", "the tunnels of other animals".
        rf"{_CLAUSE}(?:once |formerly |long |often )*(?:thought|believed|considered|reputed|reported) to (?:be|have) [^,.;\n]*"
        r"(?=, (?:it|they|the|this)\b)",
        r"\b(?:is|are|was|were) (?:\w+ )?(?:said|thought|believed|claimed|reputed|rumou?red|alleged|reported) to"
        r" [^,.;\n]*(?=,? but\b)",
        r"\b(?:is|are|was|were) (?:\w+ )?(?:described|reported|listed|advertised|labelled|specified) as [^,.;\n]*(?=,? but\b)",
        r"\b(?:may |might |can )*(?:looks?|appears?|seems?) [^,.;\n]{1,40}?(?=, (?:but|yet) (?:it|they|is|are)\b)",
        r"\b(?:the|its|our) (?:old|previous|earlier|former|other) (?:version|model)s? (?:had|has|was|is|came)\b[^,.;\n]*",
        rf"{_CLAUSE}(?:the |its |their )?(?:wild |extinct )?(?:ancestors?|forebears?)\b[^,.;\n]*",
        r"\b(?:old |abandoned )?\w+ (?:dug|made|built|left|used) by (?:other|another) \w+",
        # "The stripes of the female hill finch".
        r"\bof (?:the|an?) (?:fe)?male (?!(?:is|are|has|have|and|or|but|in|with|birds?|animals?)\b)"
        rf"(?:(?!{_COLOR_WORDS})[\w ]){{1,30}}(?=[,.;\n]|$)",
        r"\b(?:the )?\w+ of (?:other|another) \w+",
        r"\b(?:to |in order to )?(?:escape|deter|evade|flee|repel|outrun|confuse)s?(?: from)? [^,.;\n]*",
        r"\bit is (?:not (?:yet )?(?:known|clear|certain)|unknown|unclear|uncertain|disputed|debated) (?:whether|if|how)"
        r" [^,.;\n]*",
        r"\bwhere (?:others?|most|its|many)(?: \w+)? (?:have|has|are|is|shows?)\b[^,.;\n]*",
        r"\b(?:is|are|provides?|serves? as) (?:food|prey|a meal) (?:for|to|of) [^,.;\n]*",
        rf"\bof (?:its|their) (?:[\w-]+ ){{0,2}}{_THEIRS}\b",
        rf"{_CLAUSE}the others? (?:has|have|is|are)\b[^,.;\n]*",
        # "A white breast separates it from the finch, whose breast is yellow", "it can be told from the finch".
        r"\b(?:separates?|distinguish(?:es)?|tells?|differentiates?|sets?) (?:it|them|this \w+)(?: apart)? from [^,.;\n]*"
        r"(?:, (?:which|whose|who) [^,.;\n]*)?",
        r"\b(?:told|distinguished|separated|differs?)(?: apart)? from (?:(?!(?:by|in|having)\b)[^,.;\n])*"
        r"(?=[.;\n]|$|, (?!which|whose))",
        r"\b(?:means?|meaning|called|named) (?=['\"“‘])[^,.;\n]*",
        r"(?:^|(?<=[,.;\n] ))(?:(?:al)?though )?(?:(?:often|sometimes|locally|also) )?(?:called|named|nicknamed|dubbed)"
        r" (?:an?|the) [\w-]+(?: [\w-]+){0,2}(?=,)",
        rf"\b(?:is|are) (?:\w+ )?(?:called|named|known as|nicknamed) {_TO_ITS_END}",
        rf"\b(?:is|are) used (?:to|for|in|as) {_TO_ITS_END}",
        rf"\b{_MORE} than an? [^,.;\n]*? (?:but|and|yet) {_MORE} than an? [^,.;\n]*",
        r"\b(?:fad|shad|grad|merg|blend)(?:es?|ing) (?:in)?to [^,.;\n]*",
        r"\b(?:should|ought to|(?:is|was|were|are) (?:meant|supposed|expected) to) (?!not\b)(?:(?!\bbut\b)[^,.;\n])*",
    )
]
_NOT_SO_MUCH = re.compile(r"\bnot so much ([^,.;\n]{1,40}?) as (?=\w)(\w+)")
_NOT_AS = re.compile(r"\bnot (?:nearly |quite )?(?:as|so) (.{1,40}?) as\b")


# 'The so-called "red" crown is blue': what stands in quotation marks before a noun is what people call it.
_CALLED = re.compile(
    r"\b(the|its|their|this|that|these|those|an?) (?:so[ -]called |supposed(?:ly)? )?"
    r"[\"“”‘’']([\w-]+(?: [\w-]+)?)[\"“”‘’'](?= [a-z])(?! (?:and|or|is|are|in|on|of|with)\b)"
)


def in_known_words(text: str) -> str:
    """Return a lower-case text with what several words say together in words that the reader knows."""
    if re.search(r"\bhe\b", text) and re.search(r"\bshe\b", text):
        text = re.sub(r"\b(she|he)\b", lambda one: "the male" if one[1] == "he" else "the female", text)
    plain = _CALLED.sub(r"unlike \2, \1", text)
    plain = re.sub(rf"\s*\(({_SEXES})\)", r" in \1", plain)  # "green (male), brown (female)"
    plain = re.sub(r"\?\s*(?:never|hardly|rarely|seldom|not(?: \w+){0,2})(?=\s*(?:[,.;:\n]|$))", "? no", plain)
    plain = re.sub(
        r"\?\s*(?:very |only |a )*(?:little|slightly|sometimes|occasionally|partly)(?=\s*(?:[,.;:\n]|$))", " sometimes", plain
    )
    plain = re.sub(r"\b(?:(?:apart|aside) from|except for) (?:that|this|these|those)(?=,)", "", plain)
    plain = re.sub(rf"\?\s*(?=only (?:the |in )*{_SEXES}\s*(?:[.;\n]|$))", " : ", plain)
    plain = re.sub(r", as (?:far as (?:we know|is known|i know),|[^,.;\n]{1,40},(?= (?:nor|or|and|but)\b))", "", plain)
    plain = re.sub(r"\?\s*(no|none|neither|yes)\s*[,:;–—-]+\s", r" : \1. ", plain)  # "hooves? no: it has paws"
    plain = re.sub(r"\binstead\b(?! of\b)", "", plain)
    plain = re.sub(rf", ({_NOW_AND_THEN}),(?= )", r" \1", plain)  # "a red or, less commonly, a yellow crown"
    plain = re.sub(r"(?<=\w) (?=if (?:it|its|the|they|there|any)\b)", ", ", plain)
    plain = re.sub(r"\b(in|during|by|until|from|to|early|late|mid) may\b", r"\1", plain)
    plain = re.sub(r"\s*\(", ", ", plain).replace(")", " ")  # "black (white in the female)"
    plain = re.sub(r"\s+[/|•·]\s+(?=\w[\w ]{0,30}:)", "; ", plain)  # "crown: red / wings: green"
    plain = re.sub(r"\band/or\b", "or", plain).replace("&", " and ").replace("w/o", "without")
    plain = re.sub(r"(?<=[^\W\d_])\s*/\s*(?=[^\W\d_])", " and ", plain)  # "black/white"
    plain = re.sub(r"\s[-–—]+\s|=|\?(?=\s*(?:no|none|yes)\b)", " : ", plain)
    plain = _SIDES.sub(_side, plain)
    plain = _NOT_SO_MUCH.sub(r"not \1 but \2", plain)
    plain = _NOT_AS.sub(r"less \1 than", plain)
    plain = _COMES_IN.sub(lambda found: "sometimes thatone " + re.sub(",?(?: and| or)? ", " or ", found[1]), plain)
    for pattern in _OF_NO_CLASS:
        plain = pattern.sub(_left_out, plain)
    for pattern, said in [*_TOGETHER, *_REWORDED]:
        plain = pattern.sub(said, plain)
    plain = _BEFORE_IT.sub(r"\1, ", plain.strip())
    return re.sub(r"\b(seldom|rarely|never),\s*,", r"\1", plain)


def _side(found: re.Match[str]) -> str:
    """Return what "above" and "below" stand for: parts of the whole, but not after a part, as in "bill black above"."""
    clause = re.split(r"[.;:\n]", found.string[: found.start()])[-1]
    return found[0] if _PART.search(clause) else "upperparts" if found[1] == "above" else "underparts"


_PART = re.compile(r"\b(?:bills?|beaks?|tails?|wings?|primaries|legs?|feet|crown|head|crests?)\b")
_JOINS = re.compile(
    r"\b(?:and|or|nor|with|without|has|have|having|which|that|whose|except|unlike|instead|not|no|it|they|apart)\b|[,:]"
)


def _left_out(clause: re.Match[str]) -> str:
    """Return a clause as one that speaks of another class, with nothing in it that would begin a new one."""
    before = re.match(r"[,.;:]|and\b|but\b|while\b|whereas\b|\s", clause[0])
    lead = before[0] if before else ""
    return f"{lead} unlike {_JOINS.sub(' ', clause[0][len(lead) :])}"


# "It comes in black, brown and grey."
_COMES_IN = re.compile(
    rf"\b(?:also )?(?:comes?|available|offered|sold) (?:\w+ )?in ({_COLOR_WORDS}\b(?:,?(?: and| or)? {_COLOR_WORDS}\b)*)"
)
_NOW_AND_THEN = "(?:rarely|seldom|sometimes|occasionally|less (?:often|commonly)|more rarely|usually|often|perhaps|possibly)"
