//! The six moods: how the hero shows one, early and at the end, and the verbs that carry it in speech.

/// A mood. Texts are in the language of `template` and never say the mood's own name.
pub struct Mood {
    pub id: &'static str,
    /// Verbs for the hero's speech in this mood.
    pub verbs: &'static [&'static str],
    /// A first hint, early in the scene.
    pub signs: &'static [&'static str],
    /// How the scene leaves the hero.
    pub closers: &'static [&'static str],
}

pub const MOODS: &[Mood] = &[
    Mood {
        id: "joy",
        verbs: &["laughed", "called", "said, beaming,"],
        signs: &[
            "{H} was [whistling|humming and tapping a foot].",
            "[There was a bounce in {H}'s step|{H} walked with a bounce].",
            "{H} had [greeted three strangers already|already said good day to three strangers].",
            "[Nothing could have spoiled {H}'s breakfast|{H} had eaten two breakfasts], [and nothing had|with a good appetite for both].",
        ],
        closers: &[
            "{H} [danced three steps|did three steps of a dance] [on the spot|right there], and [did not care who saw|let them stare].",
            "[All the way home|The whole way home] {H} [sang|was singing], [badly and loudly|loud and out of tune].",
            "{H} [hugged {O}|threw both arms round {O}], and [then hugged the nearest post|after that a passing stranger].",
            "[That evening the whole street|The whole street that evening] [heard {H} laugh|could hear {H} laughing].",
            "{H} [could not stop smiling|went on smiling], [even at the tax man|even in {his} sleep].",
            "[It was the best day since the fair|There had been no better day since the fair], and [{H} told everyone so|everyone heard it from {H}].",
        ],
    },
    Mood {
        id: "calm",
        verbs: &["said quietly", "murmured", "answered slowly"],
        signs: &[
            "{H} [was in no hurry|had all the time in the world].",
            "[It was a slow hour|The hour was a slow one], and {H} [let it pass|was content with that].",
            "{H} [breathed in, and out again|took one long breath], and [felt {his} shoulders drop|{his} shoulders came down].",
            "[Nobody wanted anything of {H} just then|For once nobody wanted {H}].",
        ],
        closers: &[
            "[Then they sat|They sat on after that] without [talking|a word], and [it was enough|nothing more was needed].",
            "{H} [put the kettle on|made a pot of tea], and [the day went on as days do|the day went its way].",
            "[Nothing else happened|There was nothing else] [that day|until supper], and {H} [was glad of it|liked it so].",
            "{H} [leaned back|sat back], [hands folded|with folded hands], and [listened to the clock|watched the shadows move].",
            "[The work went on|They went on with the work], [steady as a tide|one thing after another], until [the lamps were lit|supper].",
            "[By nightfall|When night came] {H} was [asleep|fast asleep], [as easily as a cat|like a stone in a pond].",
        ],
    },
    Mood {
        id: "sorrow",
        verbs: &["said softly", "sighed", "said, not looking up,"],
        signs: &[
            "{H} [had hardly slept|had lain awake], and [it showed|anyone could see it].",
            "{H} [answered when spoken to|gave answers], but [only just|not many].",
            "[There was a second cup on {H}'s table these days that nobody used|{H} still put out two cups, and nobody used the second].",
            "{H} [walked with bent head|went about with bent head], [as if into a headwind|like someone carrying a sack].",
        ],
        closers: &[
            "{H} [turned away|looked away], so that {O} [should not see {his} face|could not see {his} eyes].",
            "[Nobody found anything to say|There was nothing that anyone could say], so [nobody said it|they were silent].",
            "{H} [went home the long way|took the long way home], [past the empty house|by the churchyard], and [let the supper go cold|ate nothing].",
            "[Something had gone|A thing was gone] that [would not come back|could not be bought again], and {H} [knew it|felt the place where it had been].",
            "{O} [took {his} hand|held {his} hand], and {H} [let it be held|wept without a sound].",
            "[For a long time|A long while] {H} [stood there|did not move], [holding nothing|with empty hands].",
        ],
    },
    Mood {
        id: "fear",
        verbs: &["whispered", "said hoarsely", "said, too fast,"],
        signs: &[
            "{H} [looked round twice|kept glancing at the door], [though nobody was there|and nobody came].",
            "{H}'s hands [would not keep still|were never still].",
            "[Every small noise|Each little sound] made {H} [start|jump].",
            "[Something was not as it should be|Something was wrong], and {H} [felt it in {his} stomach|had a cold stomach from it].",
        ],
        closers: &[
            "{H} [bolted the door|shot the bolt] that night, [and then a chair went against it|and put a chair against it too].",
            "{H} [counted to a hundred|was counting under {his} breath], [and started again|and lost count, and began again].",
            "[All the colour had gone|The colour was gone] from {H}'s face, and [{his} knees shook|there was no strength in {his} knees].",
            "[Sleep did not come|There was no sleep]: {H} [lay and listened|lay listening] [until morning|for footsteps].",
            "{H} [held {O}'s sleeve|took hold of {O}'s sleeve] and [would not let go|did not let go of it].",
            "[What if it happened again|And if it came again]? {H} [could think of nothing else|thought of nothing else].",
        ],
    },
    Mood {
        id: "anger",
        verbs: &["snapped", "growled", "said through {his} teeth"],
        signs: &[
            "{H} [had slammed two doors already|had already slammed two doors].",
            "{H} [had not said good morning|wished nobody good day], and [did not mean to|with good reason, {he} thought].",
            "[People stepped out of {H}'s way|{H} came along, and people made way].",
            "{H}'s [jaw was set|jaw was tight], and [{his} answers were short|no answer was longer than a word].",
        ],
        closers: &[
            "{H} [kicked a bucket|gave a bucket a kick], and [it rolled a long way|the whole street heard it].",
            "[A gate banged|A gate shut with a bang] behind {H}, and [every dog in the street answered|the birds flew up from the roofs].",
            "{H} [did not speak to {O}|had no word for {O}] for [a week|seven days].",
            "{H} [went red to the ears|grew red], and [people found things to do elsewhere|those near {him} moved off].",
            "\"[Never again|Not once more]!\" {H} [told the empty air|said to no one], and [meant it|struck the table].",
            "[It took three days|Three days it took] before {H} [could talk of it without shouting|spoke of it in an ordinary voice].",
        ],
    },
    Mood {
        id: "wonder",
        verbs: &["breathed", "said slowly", "said to nobody in particular,"],
        signs: &[
            "{H} [had stopped in the middle of a step|stopped short], [head tilted|listening].",
            "{H} [kept looking twice|looked twice at everything] [that day|just then], [as if the world were new|like someone newly come to town].",
            "[There were questions|Questions were] in {H}'s head [that had no answers yet|with no answers to them yet].",
            "{H} [had noticed something odd|had an odd thing on {his} mind], and [could not leave it alone|kept coming back to it].",
        ],
        closers: &[
            "[Neither of them spoke|They did not speak], for [fear of breaking it|it would have broken something].",
            "{H} [looked and looked|could only look], [mouth open|{his} mouth a little open].",
            "[How had it come about|How could such a thing be]? {H} [never found out|turned it over for years].",
            "{H} [drew it|made a drawing of it] that night [from memory|by candle], [so as not to lose it|to be sure that it had been real].",
            "[The world was larger|It was a larger world] [than it had been at breakfast|than that morning], {H} thought.",
            "[Long afterwards|Years later] {H} [would still tell of it|still told the story], [and still not quite believe it|half believing it {himself}].",
        ],
    },
];
