//! The places of Tarnmouth and its weather, with what the one does to the other.

/// One of the ten places. Texts are in the language of `template`.
pub struct Place {
    pub id: &'static str,
    /// "on the quay": some wordings name the place, some show it by what stands there.
    pub at: &'static str,
    pub indoors: bool,
    /// What anyone may be doing there, as a participle.
    pub doing: &'static [&'static str],
    /// Where a thing may lie hidden there.
    pub spots: &'static [&'static str],
    /// What the place is like.
    pub details: &'static [&'static str],
}

pub const PLACES: &[Place] = &[
    Place {
        id: "quay",
        at: "[on the quay|on the quay|down among the crab pots|by the iron bollards]",
        indoors: false,
        doing: &[
            "[coiling a wet rope|winding a wet rope into a coil]",
            "[watching the boats|keeping an eye on the boats]",
            "[sitting on an upturned crate|perched on an upturned crate]",
        ],
        spots: &[
            "under an upturned fish crate",
            "behind the third bollard",
            "in a heap of old sails",
        ],
        details: &[
            "[Gulls were quarrelling over|The gulls fought for] a fish head.",
            "[The moored boats creaked|Moored boats creaked] and [knocked together|bumped against one another].",
            "[The stones were slippery with weed|There was slippery weed on the stones], and [it smelled of tar and herring|the air was all tar and herring].",
            "[Crab pots stood|There were crab pots] in stacks [along the wall|by the wall], [dripping|still dripping].",
            "[A chain clanked somewhere below|Somewhere below, a chain clanked] as the tide [lifted the hulls|came in].",
        ],
    },
    Place {
        id: "lighthouse",
        at: "[at the lighthouse|in the lighthouse|at the top of the hundred and twelve steps|up beside the great lamp]",
        indoors: true,
        doing: &[
            "[looking out over the rocks|gazing down at the rocks]",
            "[getting {his} breath back|breathing hard]",
            "[rubbing salt off the panes|wiping the salty panes]",
        ],
        spots: &["behind the oil cans", "on the bottom stair", "inside the case of the old clock"],
        details: &[
            "[The stairs went round and round|Round and round went the stairs], [and every step was worn in the middle|each one worn hollow].",
            "[From up here the boats looked|Seen from here, the boats were] no bigger than [shoes|walnut shells].",
            "[The whole room hummed|A hum filled the round room] [when the wind leaned on the glass|as the wind pressed on the glass].",
            "[It smelled of oil and brass polish|There was a smell of brass polish and oil].",
            "[Moths had died|Dead moths lay] along the sill [in a grey line|in a thin grey row].",
        ],
    },
    Place {
        id: "bakery",
        at: "[in the bakery|at the bakery|beside the big oven|among the trays of rolls]",
        indoors: true,
        doing: &[
            "[warming cold hands|holding cold hands out to the heat]",
            "[waiting for the second batch|waiting until the next batch was done]",
            "[dusting off a chair|brushing flour off a chair]",
        ],
        spots: &[
            "at the bottom of the flour bin",
            "behind the rye loaves",
            "under the proving cloth",
        ],
        details: &[
            "[The oven ticked as it cooled|As it cooled, the oven ticked].",
            "[Loaves stood in rows|Rows of loaves stood] on the [long shelf|shelf], [brown ones above and white ones below|the brown above the white].",
            "[Flour hung in the air|The air was hazy with flour] and [settled on every sleeve|came down on every sleeve].",
            "[The smell of cinnamon|A smell of cinnamon] [went out under the door|crept under the door] and [brought people in|drew people in] from the street.",
            "[The windows had steamed up|Steam covered the windows], and [a child had drawn a fish on one|on one of them a child had drawn a fish].",
        ],
    },
    Place {
        id: "boatyard",
        at: "[at the boatyard|in the boatyard|under the ribs of a half-built hull|among the planks and the sawdust]",
        indoors: false,
        doing: &[
            "[stacking planks|putting planks in a stack]",
            "[stepping over wood shavings|walking through the shavings]",
            "[leaning on a sawhorse|resting against a sawhorse]",
        ],
        spots: &["under the workbench", "in a drawer full of screws", "beneath the old dinghy"],
        details: &[
            "[A half-built hull stood on its props|On its props stood a half-built hull], [ribs showing|like the bones of a whale].",
            "[Shavings lay everywhere|There were shavings everywhere], [curled like butter|as thin as paper].",
            "[The saw sang|A saw was singing] in [the long shed|the shed], then [stopped|fell silent].",
            "[The glue pot bubbled|A pot of glue bubbled] over a small fire and [stank|smelled dreadful].",
            "[Tools hung on the wall|Along the wall hung the tools], each [in its own painted outline|over its own outline in white paint].",
        ],
    },
    Place {
        id: "school",
        at: "[in the schoolroom|at the school|between the rows of small desks|beside the small stove]",
        indoors: true,
        doing: &[
            "[sharpening pencils|putting points on the pencils]",
            "[looking at the big map|studying the big map]",
            "[wiping the blackboard|cleaning the blackboard]",
        ],
        spots: &["inside a desk", "behind the globe", "in the ink cupboard"],
        details: &[
            "[Chalk dust floated|Chalk dust drifted] over [the small desks|the empty desks].",
            "[Somebody had carved a whale|A whale had been carved] into [the desk by the window|the window desk].",
            "[On the wall hung a map|A map hung on the wall] of [all the oceans|the seven seas], [with one corner torn|torn at one corner].",
            "[The stove crackled|The little stove was crackling], and [wet coats steamed around it|coats were drying round it].",
            "[Ink had been spilled|There was an ink stain] on the floor [long ago|years ago], in [the shape of Africa|the shape of a hen].",
        ],
    },
    Place {
        id: "bank",
        at: "[in the bank^money|at the bank^money|at the brass counter|between the tall ledgers and the iron safe]",
        indoors: true,
        doing: &[
            "[standing in the queue|waiting in the queue]",
            "[counting out coins|laying out coins in piles]",
            "[filling in a long form|writing on a long form]",
        ],
        spots: &["behind the iron safe", "between two ledgers", "under the brass counter"],
        details: &[
            "[The big clock over the counter|Over the counter, the big clock] [ticked like a drip|ticked and ticked].",
            "[Everybody whispered here|Here everybody whispered], [as people do in church|as if in church].",
            "[The ledgers stood|Ledgers stood] on the shelf in order, [1871 to now|from 1871 on].",
            "[The floor was marble|It had a marble floor], and [every step rang out|each footstep rang].",
            "[Coins clinked|There was a clink of coins] behind [the brass bars|the grille].",
        ],
    },
    Place {
        id: "inn",
        at: "[at the Blue Anchor|in the Blue Anchor|at the inn|under the row of mugs]",
        indoors: true,
        doing: &[
            "[drinking hot cider|with a mug of hot cider]",
            "[drying wet boots by the fire|warming wet boots at the hearth]",
            "[moving a draughts board aside|pushing the draughts board away]",
        ],
        spots: &[
            "down the back of the settle",
            "behind the cider barrel",
            "under the draughts board",
        ],
        details: &[
            "[The fire spat|A log spat sparks], and [someone laughed in the back room|there was laughter in the back room].",
            "[Mugs hung from the beam|From the beam hung the mugs], [one for each regular|each with its owner's name].",
            "[The floor was sticky with cider|Cider had made the floor sticky].",
            "[The landlord was polishing|The landlord polished] the same glass [he had polished all day|as before].",
            "[Four men played dominoes|Four men were at dominoes] [in the corner|in their corner] and [did not look up|never looked up].",
        ],
    },
    Place {
        id: "orchard",
        at: "[in the orchard|in the orchard|under the pear trees|between the beehives and the old wall]",
        indoors: false,
        doing: &[
            "[leaning a ladder on a tree|setting a ladder against a tree]",
            "[filling a basket with twigs|gathering twigs in a basket]",
            "[clearing a path|making a path with a rake]",
        ],
        spots: &["in a hollow pear tree", "under a beehive", "in the long grass by the wall"],
        details: &[
            "[The hives stood in a row|In a row stood the hives], [white as teeth|six of them, all white].",
            "[One old pear tree leaned|The oldest pear tree was leaning] on a crutch, [like a veteran|as old men do].",
            "[Nobody had mown under the trees|The ground under the trees was rough], and [old windfalls lay about|there were old windfalls to trip on].",
            "[A blackbird was busy|A blackbird worked] under [the wall|the hedge].",
            "[The old wall kept off the sea wind|Behind the old wall there was no sea wind], so [things grew here that grew nowhere else|pears could grow].",
        ],
    },
    Place {
        id: "market",
        at: "[at the market|in the market square|between the striped stalls|beside the stone fountain]",
        indoors: false,
        doing: &[
            "[going from stall to stall|walking along the stalls]",
            "[feeling the weight of a cabbage|weighing a cabbage in one hand]",
            "[setting out baskets|putting out baskets]",
        ],
        spots: &["in a crate of cabbages", "behind the cheese stall", "on the rim of the fountain"],
        details: &[
            "[The awnings were striped|Every stall had a striped awning], red and white.",
            "[A man was shouting the price of eggs|The price of eggs was being shouted] [over and over|again and again].",
            "[Pigeons walked about|Pigeons strutted] under the stalls [like inspectors|as if they owned them].",
            "[The fountain splashed|Water splashed in the fountain] in [the middle of it all|the midst of the stalls].",
            "[There were cheeses|Cheeses lay] as big as [cartwheels|millstones], and [eels in a tub|a tub of eels].",
        ],
    },
    Place {
        id: "river",
        at: "[by the river|on the path along the Elver|by the old ferry steps|where the reeds begin]",
        indoors: false,
        doing: &[
            "[throwing sticks into the water|dropping sticks in the current]",
            "[taking a slow walk|strolling to and fro]",
            "[watching the current|looking at the slow current]",
        ],
        spots: &["in the reeds", "under the ferry steps", "in the roots of a willow"],
        details: &[
            "[The Elver ran brown and slow|Brown and slow ran the Elver] [past the reeds|beside the path].",
            "[Willows trailed their branches|The willows dipped their branches] in the water.",
            "[A heron stood on one leg|On one leg stood a heron], [waiting|as still as a post].",
            "[The old ferry lay rotting|There lay the old ferry, rotting] [against the steps|by its steps].",
            "[Ducks|Moorhens] went [up and down|to and fro] over [the deep pool|the pool by the ferry].",
        ],
    },
];

/// A kind of weather. Texts are in the language of `template`.
pub struct Weather {
    pub id: &'static str,
    pub seasons: &'static [&'static str],
    /// A sentence that says so; `{time}` is "morning", "afternoon" or "evening".
    pub says: &'static str,
    /// The same as a clause after "while".
    pub clause: &'static str,
    pub adjective: &'static str,
    /// What it does out of doors, and what it does within: always with its cause.
    pub outdoors: &'static [&'static str],
    pub indoors: &'static [&'static str],
}

pub const WEATHER: &[Weather] = &[
    Weather {
        id: "sun",
        seasons: &["spring", "summer", "autumn"],
        says: "[The sun shone all {time}|There was not a cloud in the sky|The sky was clear from the hills to the sea|It was a {time} of clear sun]",
        clause: "[the sun shone|the sun lay on the roofs|the sky stayed blue]",
        adjective: "[sunny|bright|clear]",
        outdoors: &[
            "The tar was soft [in the heat|from the sun], so [it stuck to every boot|boots stuck to it].",
            "[Washing dried|The washing dried] in an hour, [because the sun was strong|so strong was the sun].",
            "[Cats lay|Every cat in town lay] on the [warm walls|walls, which were warm].",
        ],
        indoors: &[
            "[The door stood open|They had left the door open] to let [the warm air in|in the warm air].",
            "[Sun came through the window|Through the window came the sun] and [made a square on the floor|laid a bright square on the floor].",
            "[It was too fine a day|The day was too fine] to be indoors, and [nobody else was|most people were out].",
        ],
    },
    Weather {
        id: "rain",
        seasons: &["spring", "summer", "autumn"],
        says: "[It rained all {time}|Rain fell on Tarnmouth all {time}|The {time} was wet, and the gutters ran|Rain had set in before the {time} began]",
        clause: "[rain ran down the roofs|it poured|the rain came down in strings]",
        adjective: "[wet|rainy|dripping]",
        outdoors: &[
            "[Because of the rain|On account of the rain], [nobody had hung out washing|the washing lines were empty].",
            "[The rain had filled|Rain had filled] every bucket and boat, so [there was much bailing to do|people were bailing].",
            "[Umbrellas were up|People held up umbrellas], and [those without one ran|whoever had none ran].",
        ],
        indoors: &[
            "[Rain drummed on the roof|The roof drummed with rain], so [they had to speak up|talk had to be loud].",
            "[A drip fell|Water dripped] from the ceiling into a bucket, [because the rain had found the crack|for the rain knew the crack].",
            "[Wet coats hung|A row of wet coats hung] by the door, and [puddles grew under them|dripped on the floor].",
        ],
    },
    Weather {
        id: "fog",
        seasons: &["summer", "autumn", "winter"],
        says: "[Fog lay on the harbour|A thick fog had come in from the sea|The fog was so thick that the church had vanished|Nobody could see across the street for fog]",
        clause: "[fog hid the masts|the fog pressed at the panes|the foghorn called]",
        adjective: "[foggy|grey|misty]",
        outdoors: &[
            "[The foghorn sounded|Every minute the foghorn sounded], [because no boat could see the rocks|for the rocks could not be seen].",
            "[No boat had gone out|All the boats had stayed in], since [the fog hid the channel|nobody could find the channel in fog].",
            "[Voices came before faces|You heard people before you saw them], [the fog was so thick|so thick was the fog].",
        ],
        indoors: &[
            "[The lamps had been lit|They had lit the lamps] by day, [because the fog kept out the sun|for the fog let in no sun].",
            "[Beyond the window there was nothing|The window showed nothing at all], [only white|just whiteness], [like a page before the first word|thanks to the fog].",
            "[The foghorn could be heard|One heard the foghorn] [even in here|in here too], [for no boat could see the rocks today|warning the boats off the rocks].",
        ],
    },
    Weather {
        id: "wind",
        seasons: &["spring", "autumn", "winter"],
        says: "[A gale blew from the west|The wind had risen in the night|It blew so hard that the signs swung|Wind came over the sea wall and took two hats]",
        clause: "[the wind howled|the wind shook the shutters|it blew a gale]",
        adjective: "[windy|wild|stormy]",
        outdoors: &[
            "[Hats flew|More than one hat flew], because [the wind came round every corner|no corner was safe from the wind].",
            "[The boats stayed in harbour|No boat left the harbour], for [the waves broke over the wall|over the wall broke the waves].",
            "[Whatever was not tied down|Anything not tied down] had [blown away|gone with the wind], [two chairs among it|even chairs].",
        ],
        indoors: &[
            "[The shutters banged|A shutter kept banging], [for the wind had broken the hook|since the wind had snapped its hook].",
            "[Smoke blew back|The smoke came back] down the chimney [with every gust|whenever it gusted] and [made their eyes water|stung their eyes].",
            "[The wind got in|A draught came] under the door and [moved the papers about|set the papers moving].",
        ],
    },
    Weather {
        id: "frost",
        seasons: &["winter", "spring"],
        says: "[There had been a hard frost|It was freezing|Frost had whitened every roof|Ice covered the puddles, and everyone's breath could be seen]",
        clause: "[the frost held|ice creaked in the gutters|everyone's breath smoked]",
        adjective: "[frosty|freezing|icy]",
        outdoors: &[
            "[The ropes were frozen|Frost had got into the ropes], so [they were as stiff as sticks|no knot would come undone].",
            "[The pump had frozen|Ice had stopped the pump], and [water had to be carried|people carried water] from the river.",
            "[The steps were icy|There was ice on the steps], so [someone had strewn ash on them|people walked on ash].",
        ],
        indoors: &[
            "[There were ice flowers|Ice flowers had grown] on the panes, [though the fire was lit|for all the fire could do].",
            "[They kept their coats on|Nobody took off a coat], because [the frost came in through the walls|frost came through the very walls].",
            "[The ink had frozen|The water jug had frozen] in the night, and [stood by the fire to thaw|was thawing by the fire].",
        ],
    },
    Weather {
        id: "snow",
        seasons: &["winter"],
        says: "[Snow had fallen overnight|It was snowing|Snow lay as deep as a boot|All {time} the snow came down without a sound]",
        clause: "[the snow fell|snow settled on the sills|the flakes came down]",
        adjective: "[snowy|white|hushed]",
        outdoors: &[
            "[There were footprints|Footprints showed] in the snow, so [everyone knew who had been where|no one could keep a secret].",
            "[The cart could not get up the hill|No cart got up the hill], [because of the snow|the snow was too deep], and [the post was late|no post had come].",
            "[Children were sledging|The children went sledging] on [fish boxes|tea trays], [for school was closed by the snow|since the snow had shut the school].",
        ],
        indoors: &[
            "[Snow slid off the roof|The roof let go of its snow] with a thump, and [everyone jumped|they all jumped].",
            "[Everything sounded far away|All sounds were far away], [because the snow swallowed them|muffled by snow].",
            "[Someone had swept the snow|The snow had been swept] off the step, but [more came in on every boot|each boot brought in more].",
        ],
    },
];
