//! Plots of house and garden: illness, music, cooking, garden and things lost.

use super::Plot;

pub const PLOTS: &[Plot] = &[
    Plot {
        topic: "illness",
        heroes: &["hale", "ines", "mara", "alder", "tobias", "nell"],
        places: &["bakery", "lighthouse", "inn", "boatyard", "school"],
        things: &["medicine", "cough syrup", "willow tea", "ointment"],
        setups: &[
            "[There was fever in the house|A fever had come to the house] of the %[cooper|sailmaker|ferryman], and {H} [had sat up with it|had not been to bed for two nights].",
            "[The cough had gone from child to child|From child to child the cough had gone], [the ferryman's boy had it worst|worst of all to the ferryman's boy], and [{H} was out of {thing}|there was hardly any {thing} left, {H} saw].",
            "[A bench had been cleared|They had cleared a bench], and [on it lay the %[cooper|sailmaker|ferryman]'s boy|the %[cooper|sailmaker|ferryman]'s boy lay on it], [hot as a stove|burning hot]. {H} [knelt down|knelt beside him].",
        ],
        middles: &[
            "{arrive} <O: Is the boy any worse?> <H: He was at %[a hundred and two|a hundred and three] at noon. He has drunk nothing since.>",
            "{O} [measured out the {thing}|poured the {thing}], [drop by drop|a drop at a time]. <O: %[Ten|Twelve|Twenty] drops, and then again when the clock strikes.>",
            "<O: Who else sleeps in that room?> <H: The sisters. All three.> <O: Then they come to my house tonight.>",
            "[Warm water, clean rags and the {thing}|Clean rags, warm water, the {thing}]: [they had all that they needed|that was all they had]. <O: You hold him and I will do it. It will sting.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[At dawn the boy asked for toast|The boy woke at dawn and wanted toast], [with jam|and jam on it]! <H!: Toast! Did you hear him? Give him the whole loaf!>",
                    "[The spots were only %[raspberry jam|red chalk]|They washed the spots, and the spots came off: %[raspberry jam|red chalk]]. <H!: He is as healthy as a horse, the little fraud!>",
                ],
            ),
            (
                "calm",
                &[
                    "[The boy's fever broke|The fever left the boy] [in the small hours|before it was day], and [his breath came evenly|he slept, breathing evenly]. <H!: Let him sleep. Sleep does more than the {thing} does.>",
                    "{H} [put the cork back in the {thing}|corked the {thing}] and [opened a window|let some air in]. <H!: Nothing more to do tonight. Tomorrow, soup.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[Towards four|At about four] [the boy's breathing stopped|the boy breathed no more], and [nobody moved|they heard the clock]. <H!: I was holding his hand. He only sighed.>",
                    "[The {thing} stood|There stood the {thing}] [on the sill|beside the bed], [half full|not half used], and [the bed was made|the bed had clean sheets on it]. <H!: We were a week too late. One week.>",
                ],
            ),
            (
                "fear",
                &[
                    "[Then {H} felt it too|And then it was {H} who shivered]: [the same ache behind the eyes|the ache, the cold, the dry mouth]. <H!: Do not come closer. I think that I have it.>",
                    "[The %[third|fourth] house had put a cloth on its door|There was a cloth on the door of a %[third|fourth] house]. [It was spreading|So it was spreading]. <H!: There is not enough {thing} in the whole county.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The {thing} was nothing but sugar and water|Sugar and water, the {thing} was nothing else]; [a man at the fair had sold it|it had come from a man at the fair]. <H!: He sold this to sick children! He looked their mothers in the eye!>",
                    "[The well had been foul|The bad water had been known about] [since August|for months], and [the council had known|no one had closed the pump]. <H!: They knew! They knew and they drank wine!>",
                ],
            ),
        ],
    },
    Plot {
        topic: "illness",
        heroes: &["jonas", "bryce", "rosa", "quill", "nell", "ines"],
        places: &["boatyard", "quay", "market", "orchard", "bank", "river"],
        things: &["bandage", "splint", "sling", "plaster"],
        setups: &[
            "[It had happened in a second|It was the work of a second]: {H} [had slipped|lost {his} footing], and [now one arm would not bend|one arm hung oddly].",
            "[There was blood on {H}'s sleeve|{H}'s sleeve was red], [and there was more on the floor|and red drops had fallen], though {H} [said it was nothing|waved the question off].",
            "[For a week|A whole week long] {H} had [hidden a bad foot|walked on a swollen ankle], and [limped only when alone|told nobody].",
        ],
        middles: &[
            "{arrive} <O: Show me. No, do not be brave, show me.> {O} [asked for a {thing}|sent a child for a {thing}].",
            "<O: Can you move your fingers? All %[of them|five of them]? Good. Now look at that gull.> [It hurt, and was over|One sharp pain, and it was done].",
            "{O} [tore a shirt into strips|made strips of a clean shirt], and [with that and a stick|out of that and a stick] there was [a {thing}|soon a {thing}]. <H: That was my good shirt.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[The {thing} came off on Sunday|On Sunday they took off the {thing}], and [everything bent that should bend|{H} ran the length of the street]. <H!: Like new! I could climb a mast!>",
                    "[All the children wanted|Every child wanted] to draw on the {thing}, and [soon it was a whole zoo|there were soon nine ships on it]. <H!: I shall never take it off! Look at this whale!>",
                ],
            ),
            (
                "calm",
                &[
                    "{H} [sat with the {thing} on a cushion|rested the {thing} on a cushion] and [watched others work|let the others work]. <H!: There is something to be said for it. I had forgotten what clouds look like.>",
                    "[It would take six weeks|Six weeks, that was the verdict]. [{H} nodded|To that {H} only nodded]. <H!: Then it takes six weeks. I have a book.>",
                ],
            ),
            (
                "fear",
                &[
                    "[Under the {thing}|When they lifted the {thing}], [the skin had gone dark|there was a dark line under the skin]. <H!: I cannot feel it. I press, and I cannot feel it.>",
                    "[The saw lay ready|They had laid the small saw ready], [under a cloth|beneath a towel], but {H} [had seen it|knew its shape]. <H!: Not that. Anything, but not that.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The plank had been loose for months|For months the plank had been loose], and [four people had reported it|it had been reported four times]. <H!: Does somebody have to die before they buy a screw?>",
                    "[The one who had pushed|He who had pushed {him}] [was leaning on the wall and grinning|stood there and grinned]. <H!: One good arm is enough for you! Come here!>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[The fingers would never close again|Two fingers would stay stiff], [not on a tool, not on a string|for ever]. <H!: And what am I, without my hands?>",
                    "[Nobody was at home|There was nobody at home] [to change the {thing}|to see to the {thing}] [now|any more]. <H!: He used to do this for me. He told jokes, so I should not look.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "music",
        heroes: &["rosa", "jonas", "nell", "ines", "quill", "mara"],
        places: &["inn", "market", "school", "quay", "orchard"],
        things: &["fiddle", "accordion", "flute", "concertina"],
        setups: &[
            "[The dance was to begin at eight|At eight the dance would start], and [the {thing} made no sound|not a note came from the {thing}]. {H} [shook it|looked inside].",
            "{H} [was trying a new tune|had a new tune to try] on the {thing}, [the same four bars over and over|and stuck at the fifth bar each time].",
            "[They had asked {H} to play|It was {H} who had been asked to play] the {thing} at [the wedding|the cooper's wedding], and [there were only three days left|the wedding was on Saturday].",
        ],
        middles: &[
            "{arrive} <O: Slower. You play as if the bailiffs were coming. Let the third note %[breathe|wait|lean].> {H} [tried it|did so], and [it was better|it did sound better].",
            "[{O} sang the second voice|The second voice was {O}'s], [rather flat|in a voice like a gate], and [the {thing} followed|the {thing} went along with it]. <O: Again, from the beginning.>",
            "<O: Your grandmother played that one. She played it %[faster|barefoot|with her eyes shut].> <H: Nobody ever told me that.>",
            "[Feet began to tap|First one foot tapped, then ten]. <O: You see? The knees understand it before the head does.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[By nine everybody was dancing|Everybody was dancing by nine], [the priest too|even the priest], and [the {thing} led them out into the street|out they went behind the {thing}]. <H!: Faster! Faster! Who is tired? Nobody is tired!>",
                    "[They clapped until the mugs fell over|The clapping went on and on], and {H} [had to play it three times|played it all again, twice]. <H!: Did you hear them? They knew the tune by the end!>",
                ],
            ),
            (
                "calm",
                &[
                    "[The last note of the {thing}|From the {thing} came a last note that] [hung there|stayed a while], [and nobody wished to be the first to move|then mixed with the sound of the water]. <H!: I think I will leave it at that for tonight.>",
                    "{H} [wiped the {thing}|ran a cloth over the {thing}] and [laid it in its case|put it to bed in its case]. <H!: It knows the tune now. It will remember until morning.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[It was his tune|The tune had been his], [the one he used to whistle|which he whistled on the stairs], and [half way through|in the middle] {H} [put the {thing} down|could not go on]. <H!: I can play all of it, except the end.>",
                    "[The {thing} had split|There was a split in the {thing}] [along its whole length|from top to bottom]. [It had been {his} grandfather's|It was older than anybody there]. <H!: It sang for eighty years, and it stops with me.>",
                ],
            ),
            (
                "anger",
                &[
                    "[In the middle of the slow part|During the slow part] a man [shouted for beer|threw a crust]. [The {thing} stopped|{H} broke off]. <H!: Out! You can drink in the street, with the other pigs!>",
                    "[The landlord would not pay|There was to be no money from the landlord]: [too few dances, he said|it had been too quiet for him]. <H!: Four hours! My fingers are bleeding, and you count the dances?>",
                ],
            ),
            (
                "wonder",
                &[
                    "[Out in the dark|Somewhere outside] [another {thing} answered|they heard a second {thing}], [the same tune, a little later|in the same key]. <H!: There is nobody out there. There is only the sea out there.>",
                    "[As the {thing} played|While the {thing} sounded], [the swallows came down|the dogs lay down], [all in a row, to listen|one after another, and listened]. <H!: What is it that they hear? I wish I could hear it too.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "cooking",
        heroes: &["ines", "nell", "jonas", "alder", "bryce", "tobias", "mara", "quill"],
        places: &["bakery", "inn", "school", "boatyard", "lighthouse", "orchard"],
        things: &["fish soup", "pear tart", "rye bread", "plum cake", "leek pie"],
        setups: &[
            "[There was smoke|Smoke was coming] from [the direction of the {thing}|where the {thing} was], and {H} [ran|dropped everything].",
            "{H} was [making {thing}|busy with {thing}] for %[twelve|twenty|thirty], and [there was no salt|had run out of salt].",
            "[The recipe for the {thing}|For the {thing} there was a recipe that] [was grandmother's|came from grandmother], and {H} [had lost the second page|could not read the second page for grease].",
        ],
        middles: &[
            "{arrive} <O: It wants %[butter|pepper|thyme].> <H: It has had it.> <O: Then it wants more.> {O} [tasted again|had another spoonful], [to be fair|purely out of duty].",
            "[They chopped|Side by side they chopped], [{O} the onions, weeping|and {O} wept over the onions]. <O: These are not feelings. These are onions.>",
            "<O: My mother put in %[an apple|a bay leaf|a spoon of honey] and told nobody.> {H} [looked over one shoulder|listened for steps], and [put it in|in it went].",
            "[The fire was too low|The fire had sunk], so {O} [went for wood|fetched three logs]. <O: Quarter of an hour, and not one peek before that.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[There was not a crumb left|Not a crumb was left]. [Someone licked the dish of the {thing}|The dish of the {thing} came back licked]. <H!: They ate the lot! They asked if there was more!>",
                    "[It rose|Up it went], [it browned|it turned gold], [it came out whole|and it slid from the tin in one piece]! <H!: The best {thing} in the history of {thing}!>",
                ],
            ),
            (
                "calm",
                &[
                    "[They ate the {thing} from the pan|Out of the pan they ate the {thing}], [with two spoons|one spoon each], [while the windows grew dark|as it got dark]. <H!: Plain food and dry feet. I would not change with a king.>",
                    "[It needed another hour|Another hour, it needed], so [they let it have its hour|{H} moved it to the back of the stove]. <H!: The {thing} knows what it is doing.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[It tasted as it used to|It tasted exactly right], [and that was the trouble|and no one could swallow]. [The empty chair was still at the table|One chair stayed empty]. <H!: She always had the first slice. I cut it without thinking.>",
                    "[Nobody came|No guests came]. [The {thing} went cold|It grew late, and the {thing} grew cold]. <H!: I laid a place for each of them.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The dog had got to the {thing} first|When {H} turned round, the {thing} was inside a dog], and [{O} had left the door open|it was {O} who had left the door open]. <H!: I said to close it! Twice I said it!>",
                    "[It was sugar|The salt was sugar]. [Someone had filled the wrong jar|There had been sugar in the salt jar]. <H!: Who cannot read the word SALT? It is four letters long!>",
                ],
            ),
            (
                "wonder",
                &[
                    "[In the middle of the {thing}|When the {thing} was cut, there in the middle] [was a pearl|lay a pearl], [as big as a pea|round and pink]. <H!: That did not come from my kitchen. Where have you been, little moon?>",
                    "[One bite of the {thing}|It took one bite], and [the years fell away|it was thirty years ago]: [the yellow kitchen, the radio, the rain|a yellow kitchen, with rain at the window]. <H!: How can a whole house be inside a spoon?>",
                ],
            ),
        ],
    },
    Plot {
        topic: "garden",
        heroes: &["alder", "nell", "hale", "rosa", "ines", "jonas", "quill"],
        places: &["orchard", "orchard", "river", "school", "market", "boatyard"],
        things: &["pear tree", "rose bush", "bean row", "sunflower", "vine"],
        setups: &[
            "[The {thing} was full of buds|There were buds all over the {thing}], and [{H} feared a late frost|a frost was the one thing {H} feared].",
            "[The {thing} had been planted|Someone had planted the {thing}] %[nine|ten|twelve] years before, and [it had never borne a thing|it had given nothing yet]. {H} [had a talk with it|stood before it, hands on hips].",
            "[Something had been eating|There were teeth marks on] the {thing}, and {H} [suspected the goat|thought at once of Duchess, the goat].",
        ],
        middles: &[
            "{arrive} <O: Give it %[ashes|old tea|fish heads], and leave it alone.> <H: I can do the one, but the other is hard.>",
            "[They wrapped it|The {thing} was wrapped] in [old sacks|sacking], [knee high|up to the fork], and [string was tied around|string went round it]. <O: My grandfather did it like that, and he had %[melons|figs|lemons].>",
            "[A swarm had settled|A swarm of bees hung] in the {thing}, [humming|like a brown beard], and {O} [stood quite still|did not stir]. <O: Tell them who has died and who is born. Then they will stay.>",
            "<O: When did you last water it?> {H} [counted back|looked at the dry earth] and [blushed|said nothing for a while]. <H: When it last rained.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[And there, under a leaf|Under one leaf], [hung the first fruit|the first of them was ripe], [no bigger than a thumb|small, and perfect]. <H!: It has done it! Oh, you good old {thing}, you have done it!>",
                    "[The {thing} took first prize|First prize went to the {thing}], [ahead of the vicar's|and the vicar's came second]. <H!: A ribbon! I shall wear it in bed!>",
                ],
            ),
            (
                "calm",
                &[
                    "{H} [watered the {thing}|gave the {thing} its can of water] and [sat on the can|turned the can over for a seat]. <H!: It grows whether I look or not. But I like to look.>",
                    "[The bees went over the {thing}|Bees worked along the {thing}], [flower by flower|from flower to flower]. <H!: Let them. They were here before the fence was.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[The buds had gone black|Every bud was black] in [that one night|a single night]. <H!: He planted it for me. I was to have the first of it.>",
                    "[They had to cut down the {thing}|The {thing} had to go], [for the road|because of the new road], and [a round bare patch stayed|there was a bare patch in the grass]. <H!: You could see it from my bed.>",
                ],
            ),
            (
                "fear",
                &[
                    "[The ground under the {thing}|Beneath the {thing} the ground] [had opened|was sinking], [and it went down and down|so deep that a stone made no sound]. <H!: Walk backwards. Slowly. Do not run.>",
                    "[On every leaf of the {thing} sat|The {thing} had on every leaf] a grey spot, [like those of the year of hunger|the kind that old people still spoke of]. <H!: It has come back. By autumn there will be nothing.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The boys had stripped the {thing}|By noon the boys had stripped the {thing}], [green as it was|every unripe bit], and [thrown it at the ducks|used it for throwing]. <H!: If I catch you! I know all your mothers!>",
                    "[The neighbour had sawn it off|It had been sawn off by the neighbour] [at the fence, to the inch|exactly at the fence]. <H!: To the inch! I shall give him inches!>",
                ],
            ),
            (
                "wonder",
                &[
                    "[It flowered at midnight|At midnight it flowered], [one flower, white, as wide as a plate|with a single huge white bloom], and [the moths knew|moths came from all sides]. <H!: It has never done that. Nobody said it could do that.>",
                    "[Half of the {thing} bore pears and half bore roses|On the one {thing} there was now a second kind of leaf], [which nobody had planted|and nobody had done it]. <H!: What have you been up to, in the dark?>",
                ],
            ),
        ],
    },
    Plot {
        topic: "lost",
        heroes: &[],
        places: &[],
        things: &[
            "brass key",
            "silver thimble",
            "purse",
            "spectacles case",
            "pocket watch",
            "blue scarf",
            "tobacco tin",
            "prayer book",
        ],
        setups: &[
            "[The {thing} was gone|{H} could not find the {thing}]. [It had been there at breakfast|At breakfast it had still been there].",
            "{H} [turned out every pocket|felt in each pocket in turn], [and then every pocket again|twice over]: [no {thing}|the {thing} was in none of them].",
            "[When had {H} last seen the {thing}|Where had the {thing} been last]? [On Tuesday, perhaps|It might have been on Tuesday]. [It belonged to somebody else|It was only borrowed], which made it worse.",
        ],
        middles: &[
            "{arrive} <O: Where did you have it last?> <H: If I knew that, it would not be lost.> [So they looked together|They both began to look], [high and low|one high, one low].",
            "[They moved everything|Everything was moved] that could be moved. <O: I have found %[a comb, a herring and two buttons|three corks and a spoon|somebody's tooth].> <H: But no {thing}.>",
            "<O: I saw a magpie with something %[bright|small|shiny] this morning. It flew that way.> {H} [looked where {O} pointed|followed the finger].",
            "{O} [went down on hands and knees|knelt] and [looked under things|felt along the floor]. <O: Who else has been here? Only %[the postman|a boy with a hoop|the vicar].>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[And there it lay|There it was, after all], {spot}: the {thing}, [safe and dry|not a scratch on it]! <H!: I knew it! I never gave up hope! Well, only twice!>",
                    "[It was {O} who found it|{O} found it], {spot}, [and held it up|and waved the {thing}] like a [flag|prize]. <H!: You wonderful creature! Ask me for anything!>",
                ],
            ),
            (
                "calm",
                &[
                    "[The {thing} turned up|Later the {thing} turned up] {spot}, [where it had been all along|where anyone might have looked]. <H!: Things come back when one stops shouting for them.>",
                    "[They gave it up for the day|For that day they stopped looking], and [shared an apple|drank something warm]. <H!: It is not far. Lost is only somewhere else.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[They found only the chain of it|A scrap was found] {spot}; [the {thing} itself was gone for good|of the {thing} there was no more than that]. <H!: It was the last thing that he gave me.>",
                    "[The tide had been in and out|In and out had gone the tide], and [the {thing} with it|taken the {thing}]. <H!: I promised her that I would keep it always.>",
                ],
            ),
            (
                "fear",
                &[
                    "[The {thing} lay {spot}|It lay {spot}], [and it was not alone|with something beside it]: [a note, with {H}'s own name on it|a paper with {H}'s name]. <H!: Somebody has been watching me. Somebody put it there.>",
                    "[The owner would be back by dark|By dark the owner would ask for it], and [he was not a man to forgive|he had a long memory]. <H!: He will not believe me. You do not know what he does.>",
                ],
            ),
            (
                "anger",
                &[
                    "[{O} had had it all the time|All that time {O} had had it], [in the one place nobody searched|in a coat pocket]! <H!: You let me crawl about in the dirt for an hour?>",
                    "[The {thing} was in the pawnshop window|They saw the {thing} in the pawnshop], [with a price on it|priced at four shillings]. <H!: Stolen! Stolen and sold, by someone who eats at my table!>",
                ],
            ),
            (
                "wonder",
                &[
                    "[The {thing} lay {spot}|It was {spot} that they found the {thing}], and [beside it lay another, just like it|there were two of it]. <H!: I only ever had the one. Which of them is mine?>",
                    "[There was a nest|They came on a nest] {spot}, [and in the nest|and there], among [buttons and foil|bits of foil], [was the {thing}|lay the {thing}]. <H!: She has made a treasure house. Look how she has sorted it, by colour.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "lost",
        heroes: &["jonas", "ines", "alder", "nell", "mara", "hale", "bryce"],
        places: &["market", "river", "quay", "orchard", "boatyard", "inn"],
        things: &["dog", "cat", "goat", "parrot", "donkey"],
        setups: &[
            "[The {thing} had not come home|There was no sign of the {thing}], and {H} [had called until {his} voice cracked|was hoarse from calling].",
            "[The gate stood open|Someone had left the gate open], and [the {thing} was off|off had gone the {thing}]. {H} [knew what that meant|followed the tracks].",
            "{H} [had found a strange {thing}|had come upon a {thing} that nobody knew], [with a rope round its neck|trailing a rope], and [was asking everybody|now the owner had to be found].",
        ],
        middles: &[
            "{arrive} <O: What does it look like?> <H: Like a {thing}. %[One white ear|Half a tail|A torn ear]. It comes to a whistle, if it feels like it.>",
            "[They set down a dish|A dish was set down] of %[milk|liver|oats], and [they hid|they both went behind a wall]. <O: Now not a word. It has to think that it is clever.>",
            "[A boy had seen it|It had been seen], [going towards the mill|near the mill]. <O: That was at %[two|three|four]. It cannot have gone far on those legs.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[Round the corner came the {thing}|Then the {thing} came round the corner], [with a string of sausages|wearing somebody's bonnet], [quite pleased with itself|as proud as a mayor]. <H!: There you are! Oh, you bad, bad, lovely {thing}!>",
                    "[The {thing} had not been lost at all|It had only gone to be private]: {spot} there were [five small ones|five little ones beside it]. <H!: Five! Look at their feet! Who wants one?>",
                ],
            ),
            (
                "calm",
                &[
                    "[It was asleep|They found it sleeping] {spot}, [in a patch of warmth|curled up]. <H!: Do not wake it. It has had a long day of being looked for.>",
                    "[By evening the {thing} walked in|The {thing} walked in by evening] [by itself|as if nothing had been the matter], and [asked for its supper|lay down in its place]. <H!: It always knows the way. It is I who get lost.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[They found the collar|Only the collar was found], {spot}. [The {thing} had been very old|It had been an old {thing}]. <H!: It went off by itself, so that I should not have to see.>",
                    "[The true owner came|Then its true owner came] [and took the {thing} away|and the {thing} ran to him]. <H!: I had given it a name already.>",
                ],
            ),
            (
                "fear",
                &[
                    "[There were marks in the mud|They saw marks in the mud], [the {thing}'s, and larger ones|and not only the {thing}'s], [side by side|following]. <H!: No dog has a foot like that. What has a foot like that?>",
                    "[From the old mine|Out of the old mine] [came its voice|they heard it], [far down|very deep], and [then no voice|then nothing]. <H!: I cannot go in there. It goes on for miles, and it has no bottom.>",
                ],
            ),
            (
                "anger",
                &[
                    "[A man was leading it away|There went a man with the {thing}], [on a new rope|on a chain], [towards the Elverton road|to sell it in Elverton]. <H!: Drop that rope, or I shall tie you to it!>",
                    "[Someone had let it out for a joke|It had been let out for fun], [and stood there laughing|and the joker was still laughing]. <H!: It could have drowned! Laugh again! Go on, laugh again!>",
                ],
            ),
        ],
    },
];
