//! Words with two meanings: sentences that mean one of them, and show which.

/// Sentences for one sense of a word. Texts are in the language of `template`.
pub struct SenseUse {
    /// Where they fit: places by id, or anywhere where it is empty.
    pub places: &'static [&'static str],
    pub sentences: &'static [&'static str],
}

pub const SENSES: &[SenseUse] = &[
    SenseUse {
        places: &["river", "orchard"],
        sentences: &[
            "[An otter slid off|Off went an otter from] the far bank^river [without a splash|and hardly wet the air].",
            "[Rushes grew|There were rushes] all along the bank^river, [right down to the water|as far as the water's edge].",
            "[The bank^river was so soft|So soft was the bank^river] that {H} [sank to the ankle|went in up to the ankle].",
        ],
    },
    SenseUse {
        places: &["market", "inn", "bakery", "quay", "boatyard"],
        sentences: &[
            "{H} [had been to the bank^money that morning|had come straight from the bank^money], and [had nine pounds in an envelope|there were nine pounds in the envelope].",
            "[The bank^money closed at three|At three the bank^money closed], so [whoever needed change ran|there was a run for change].",
            "[The landlord of the Blue Anchor|The landlord] [owed the bank^money for a roof|still owed the bank^money the price of a roof].",
        ],
    },
    SenseUse {
        places: &["orchard", "river", "boatyard"],
        sentences: &[
            "[Clear water came up|Clear water rose] from the spring^water under the wall, [too cold to drink fast|so cold that teeth ached].",
            "{H} [drank from the spring^water|took a drink at the spring^water] with [cupped hands|two hands for a cup].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "[Last spring^season|The spring^season before], {O} had [told the very same story|told it quite another way].",
            "[Everyone was waiting for spring^season|All Tarnmouth longed for spring^season], [the one month without chilblains|when doors would stand open again].",
            "The swallows came [each spring^season|back every spring^season] on [the ninth of April|the same day], {H} remembered.",
        ],
    },
    SenseUse {
        places: &["orchard", "river", "boatyard"],
        sentences: &[
            "{H} [ran a hand over the rough bark^tree|laid one palm on the rough bark^tree], [grey and cracked|which was grey and cracked].",
            "[Somebody had cut two names|There were two names cut] into the bark^tree [of the oldest trunk|of an old trunk], [long ago|and the years had widened them].",
            "[A strip of bark^tree came off|Off came a strip of bark^tree], and [beetles ran out|out ran the beetles].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "[Outside, a dog gave one bark^dog|One short bark^dog came from a dog outside], and [that was Biscuit|everyone knew it for Biscuit].",
            "[Biscuit's bark^dog|The bark^dog of Jonas's dog] [carried across the harbour|could be heard over the whole harbour]: [a stranger was about|some stranger must be there].",
        ],
    },
    SenseUse {
        places: &["lighthouse", "quay"],
        sentences: &[
            "[The light^lamp swept round|Round swept the light^lamp], [once in ten seconds|every ten seconds], and [touched each wave^sea|found one wave^sea after another].",
            "[One light^lamp burned|A single light^lamp was burning] far out, [where a boat lay|on some boat].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "{O} carried a sack, [light^weight as feathers|as light^weight as a pillow], [and full of nothing but corks|for there was only cork in it].",
            "The basket was [light^weight enough for a child to lift|so light^weight that a child could lift it], [now that it was empty|being empty].",
        ],
    },
    SenseUse {
        places: &["quay", "lighthouse", "river"],
        sentences: &[
            "[A seal^animal put up its head|Up came the head of a seal^animal], [whiskers dripping|wet whiskers and all], and [looked at {H}|stared straight at {H}].",
            "[On the rocks a seal^animal|A seal^animal on the rocks] [rolled over|turned on its back] and [yawned|scratched its belly].",
        ],
    },
    SenseUse {
        places: &["bank", "school", "quay", "inn"],
        sentences: &[
            "[On the table lay|There lay] a letter^post with a red seal^wax, [not yet broken|still unbroken].",
            "{O} [pressed the seal^wax into hot wax|pushed the brass seal^wax into the hot red wax], and [the envelope was shut|that closed the envelope].",
        ],
    },
    SenseUse {
        places: &["quay", "boatyard"],
        sentences: &[
            "[A boat's name was painted|They had painted the boat's name] on her bow^ship, [in white letters|white on blue].",
            "[Spray broke over the bow^ship|Over the bow^ship went the spray] of [a boat coming in|the pilot boat].",
        ],
    },
    SenseUse {
        places: &["inn", "school", "market"],
        sentences: &[
            "[The fiddler's bow^fiddle|A bow^fiddle for the fiddle] [hung from a peg|was hanging on a peg], [its hairs loosened|with slack white hair].",
            "[Rosin dust fell|White rosin fell] from [somebody's bow^fiddle|a bow^fiddle] [onto the strings|on the strings of a fiddle].",
        ],
    },
    SenseUse {
        places: &["inn", "bakery", "lighthouse", "school"],
        sentences: &[
            "{H} [struck a match^fire|scratched a match^fire on the wall] and [held it to the wick|gave fire to the candle].",
            "[The last match^fire in the box|There was one match^fire left, and it] [was damp|would not burn].",
        ],
    },
    SenseUse {
        places: &["market", "inn", "school", "quay", "boatyard"],
        sentences: &[
            "[On Saturday there was a match^game|Saturday's match^game was] against [Elverton|the boys from Elverton], and [the goalkeeper had a cold|nobody could keep goal].",
            "[Two old men were arguing|There was an argument between two old men] about [a match^game that was lost in their youth|who had scored in some long-lost match^game].",
        ],
    },
    SenseUse {
        places: &["quay", "market"],
        sentences: &[
            "[A silver scale^fish|One scale^fish, bright as silver,] [stuck to {H}'s wrist|was sticking to {H}'s wrist] [like a sequin|from the last herring].",
            "[Every scale^fish on the big carp|On the big carp each scale^fish] was [as wide as a penny|the size of a penny].",
        ],
    },
    SenseUse {
        places: &["market", "bakery", "bank"],
        sentences: &[
            "{O} put [a bag|the bag] on the scale^weighing, and [the needle trembled|the pan sank] at [two pounds|two pounds exactly].",
            "[The old brass scale^weighing was honest|Nobody doubted the old brass scale^weighing], [give or take a grain|unlike some of its owners].",
        ],
    },
    SenseUse {
        places: &["boatyard", "quay"],
        sentences: &[
            "[A bucket of pitch^tar was warming|They had a bucket of pitch^tar warming] for [the seams|the seams of a hull], [black and sticky|as black as a boot].",
            "{H} [had pitch^tar on one sleeve|had leaned in wet pitch^tar], and [it would never wash out|no soap would shift it].",
        ],
    },
    SenseUse {
        places: &["inn", "school", "bakery"],
        sentences: &[
            "[Someone was singing|A voice was singing], a little under the true pitch^tune.",
            "[The kettle sang|The kettle began to sing], and its pitch^tune [rose and rose|went up and up] [until somebody took it off|till it was lifted off the fire].",
        ],
    },
    SenseUse {
        places: &["inn", "lighthouse", "school", "bank"],
        sentences: &[
            "[In the corner stood a sea chest^box|There was a sea chest^box in the corner], [its lid held by a rope|with a rope round its lid].",
            "{O} [sat down on an oak chest^box|used an oak chest^box for a seat], [which was full of old flags|with old flags inside].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "{H}'s heart [beat hard|knocked] in {his} chest^body [from hurrying|after the hill].",
            "{O} had a cold on the chest^body, [as in every damp week|the same as last week], and [coughed|kept coughing].",
        ],
    },
    SenseUse {
        places: &["quay", "lighthouse"],
        sentences: &[
            "[A wave^sea broke on the steps|On the steps a wave^sea broke] and [ran back|drained away], [hissing|with a hiss].",
            "[One big wave^sea|A single wave^sea, bigger than its sisters,] [came over the wall|leapt the wall], and [everyone's feet were wet|nobody's feet stayed dry].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "[With a wave^hand of the hand|With a quick wave^hand], {O} greeted [someone across the way|a neighbour who was passing].",
            "[A passer-by gave {H} a wave^hand|Someone going by gave {H} a wave^hand], and [went on|did not stop].",
        ],
    },
    SenseUse {
        places: &["river"],
        sentences: &[
            "[A crane^bird flew over|Over them flew a crane^bird], [legs trailing|its long legs behind it].",
            "[In the shallows|Knee-deep in the shallows] a crane^bird was [hunting frogs|looking for frogs], [one slow step at a time|step by slow step].",
        ],
    },
    SenseUse {
        places: &["quay", "boatyard"],
        sentences: &[
            "[The big crane^machine swung|Overhead swung the big crane^machine], [a crate of coal on its hook|with coal on its hook].",
            "[The arm of the crane^machine squealed|The crane^machine squealed], [for nobody oiled it|since it got oil once a year].",
        ],
    },
    SenseUse {
        places: &["school"],
        sentences: &[
            "[On the blackboard|There on the blackboard] stood one letter^alphabet, a large G, [with its tail the wrong way|and its tail was wrong].",
            "[A small boy had written|Some small boy had made] the letter^alphabet S [backwards|the wrong way round] [all down the page|from top to bottom].",
        ],
    },
    SenseUse {
        places: &["boatyard", "orchard", "quay"],
        sentences: &[
            "[A bent nail^metal stuck out|There was a bent nail^metal sticking out] of the plank, and {H} [hammered it flat|drove it in].",
            "{H} [hung a coat on a rusty nail^metal|found a rusty nail^metal for a coat hook].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "{H} had [broken a nail^finger|a broken nail^finger], the one on the thumb, and [kept biting it|bit at it].",
            "[There was dirt|Dirt showed] under {O}'s one long nail^finger, [as there always was|the one on the thumb].",
        ],
    },
    SenseUse {
        places: &["bank", "market", "inn"],
        sentences: &[
            "[A thin gold ring^finger|A gold ring^finger, worn thin,] [shone on the finger of the woman ahead|was on the hand of the next woman along].",
            "[The landlord's wedding ring^finger|The ring^finger that the landlord wore] [no longer came off|would not come off any more], [fat as his hands were|for his fingers had grown fat].",
        ],
    },
    SenseUse {
        places: &["school", "quay", "inn"],
        sentences: &[
            "[There was a ring^bell of the handbell|The handbell gave a sharp ring^bell], and [boots ran past the door|feet came running].",
            "[The noon bell began to ring^bell|They heard the noon bell ring^bell], [slow and cracked|with its cracked old voice].",
        ],
    },
    SenseUse {
        places: &["market", "quay"],
        sentences: &[
            "[A flat brown sole^fish|One sole^fish, flat and brown,] [lay on the ice|was lying on ice], [both eyes on one side|with its two eyes on top].",
        ],
    },
    SenseUse {
        places: &[],
        sentences: &[
            "[The sole^shoe of {H}'s left boot|On {H}'s left boot the sole^shoe] [had come loose|was loose] and [slapped at every step|flapped].",
        ],
    },
];
