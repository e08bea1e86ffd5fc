//! Plots of the sea and the sky: fishing and storm.

use super::Plot;

pub const PLOTS: &[Plot] = &[
    Plot {
        topic: "fishing",
        heroes: &["mara", "jonas", "nell", "bryce"],
        places: &["quay", "river", "boatyard"],
        things: &["herring net", "brown net", "drift net", "mackerel net"],
        setups: &[
            "[{H} had found the {thing} torn|There was a tear in the {thing}, and it was {H} who found it], [a hole as wide as a door|with a hole that a calf could walk through].",
            "[The {thing} had come up|{H} had hauled up the {thing}] with [nothing in it but weed|only weed in it] for the [third day|third time that week].",
            "[{H} had the {thing} across both knees|Across {H}'s knees lay the {thing}], and [two hundred knots to check|every knot in it had to be looked at].",
        ],
        middles: &[
            "{arrive} <O: How long until the {thing} is fit to use? The herring are %[off the point|in the bay|past the Anvil rock] tonight.> <H: I do not know.> [The twine ran through {H}'s fingers|{H} went on drawing twine through {his} fingers].",
            "{arrive} {O} [took hold of the other end|picked up the far end of the net] [without being asked|unasked]. <O: We will do it together. I have nothing else until %[four|five|six].>",
            "<O: The others came home with full boats,> [{O} began, and then wished it unsaid|said {O}, which was no help at all]. <H: I did not ask about the others.>",
            "{arrive} <O: Something with teeth has been at that. Did you not see the hole?> {H} [held it up to the sky|lifted it] and [looked through it|put {his} whole head through].",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[Two hours later|Within two hours] the {thing} [was whole and in the water|had been mended and cast], and it came up [heavy and silver|so full that the floats went under]. <H!: Look at that! We need more baskets!>",
                    "[The next haul|When they tried again, the haul] filled %[nine|twelve|fifteen] baskets, and {O} [had to sit on the lid of the last|lost count]. <H!: I will never be rude about herring again.>",
                ],
            ),
            (
                "calm",
                &[
                    "[Knot by knot|One knot after another] the hole in the {thing} [closed|grew small]. <H!: There is no rush. It was a good net before, and it will be one again.>",
                    "[They worked without talking|Without a word they worked], [one at each end|{H} at one end and {O} at the other], [until the {thing} was done|and towards evening the {thing} was done]. <H!: That will do for today.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[It had been %[father's|grandfather's] net|The {thing} had once been %[father's|grandfather's]], and [now the twine broke wherever one touched it|the old twine would take no more knots]. <H!: There is nothing left to mend. It was all I had of him.>",
                    "[There were no more herring|The herring had gone north], and [the {thing} would go to the rag man|nobody would need the {thing} again]. <H!: We will have to sell the boat next.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The edges were straight|The hole had straight edges]: [a knife had done it|somebody had used a knife]. <H!: I know who did this to my {thing}, and so does he!>",
                    "[Then {O} stepped on the {thing}|{O} put a boot through the {thing}], and [the hole was twice as big|made the hole twice as long]. <H!: Get off! Can you not look where you put your feet?>",
                ],
            ),
            (
                "wonder",
                &[
                    "[In the last fold of the {thing}|The last fold of the {thing} opened, and there] lay a fish [that neither had ever seen|unknown to both of them], [with spots of blue fire|as clear as glass]. <H!: What are you? Where have you come from?>",
                    "[When they put out the lantern|Once the lantern was out], the {thing} [shone|was shining]: [every knot was a green spark|green sparks sat on every knot]. <H!: The sea has left some of its stars in it.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "fishing",
        heroes: &["nell", "tobias", "quill", "alder", "hale"],
        places: &["river", "quay"],
        things: &["rod", "cane rod", "fishing rod", "old rod"],
        setups: &[
            "[{H} had borrowed a {thing}|With a borrowed {thing} in {his} hand, {H} felt foolish], and [did not know which end to hold|had no idea how to hold it].",
            "[It was the first day that {H} had gone fishing|{H} had never gone fishing before that day], and [the line on the {thing} was already in a knot|the {thing} already had its line in a knot].",
            "[{H} sat with the {thing} and a tin of worms|A tin of worms stood by {H}, and the {thing} was ready], and [nothing happened|so far that was all].",
        ],
        middles: &[
            "<O: You have to think like a %[trout|perch|pike]. Where would you hide if you were hungry and shy?> {H} [pointed at the shadow under a stone|chose the dark water by the stones].",
            "{arrive} <O: Have they been biting?> <H: Not yet. I have fed them %[four|six|seven] worms, and they have not said thank you.>",
            "[Then the float went under|Suddenly the float was gone], and the {thing} [bent like a hoop|bent almost double]. <O: Let it run! Now wind! Not so fast!>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[And there it was|There it lay], [a %[trout|perch] as long as an arm|longer than an arm, a %[trout|perch]]! <H!: I caught it! I did it all myself!>",
                    "[The fish leapt|Up leapt the fish], [the line held|and the line did not break], and {O} [got it in the hat|used a hat for a landing net]. <H!: Did you see that? Did everybody see that?>",
                ],
            ),
            (
                "calm",
                &[
                    "[Nothing bit|There was not one bite], and [it did not matter|that was no matter]. <H!: I think the fish are only an excuse for sitting here.>",
                    "[They let the small one go|The one small fish went back], and [they watched it find the shadow|it hung there a moment before it left]. <H!: He can grow up first. We have time, he and I.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[The line broke|With a snap the line was gone], and [the hook with it|with it the silver hook that had been a gift]. <H!: She gave me that hook the summer before she died.>",
                    "[The fish lay on the stones|There on the stones lay the fish], [its colours going out|and its colours faded]. <H!: It was so bright. I wish I had left it where it was.>",
                ],
            ),
            (
                "fear",
                &[
                    "[Whatever was on the line|The thing on the line] was [no fish|far too strong for a fish], and it [pulled {H} towards the edge|was dragging {H} to the edge]. <H!: Cut it! Please, cut the line!>",
                    "[Under the float something moved|Something moved beneath the float], [long, and as thick as a mast|long and dark], and [it looked up|with a pale eye]. <H!: Come away from the water. Come away now.>",
                ],
            ),
            (
                "wonder",
                &[
                    "[On the hook there was a bottle|The hook had caught a bottle], and [in the bottle lay a map|there was a map inside]. <H!: It is our own coast, but with a town where there is only sea.>",
                    "[Hundreds of tiny eels|Eels, hundreds of them and as thin as needles,] were [going past|swimming by], [all one way|every one of them upstream]. <H!: All that way from the middle of the ocean. Who tells them to come here?>",
                ],
            ),
        ],
    },
    Plot {
        topic: "storm",
        heroes: &["tobias", "bryce", "mara", "ines", "nell", "rosa"],
        places: &["quay", "lighthouse", "inn"],
        things: &["the Good Hope", "the Kittiwake", "the Lark", "the Good Intent"],
        setups: &[
            "[{thing} was overdue|{thing} had not come home], and [the glass was falling|the barometer had dropped like a stone].",
            "[All the boats were in|Every boat had come in] but one, and [the one was {thing}|{thing} was that one]. [The sky in the west was black|Westward the sky had turned black].",
            "[{H} had been watching for {thing}|{H} had been on the lookout for {thing}] since [noon|the church clock struck twelve], while [the swell grew|the seas grew steeper].",
        ],
        middles: &[
            "{arrive} <O: Any sign of {thing}?> <H: None. She carries %[three men|four men|two men and a boy], and one pump.>",
            "<O: Somebody must go up and keep the lamp burning. If they see it they can clear the Anvil rock.> [They took turns|{H} and {O} took turns] [at the window|to look out].",
            "[Thunder rolled|There was a roll of thunder] over the bay, and [all the lamps flickered|each lamp shivered]. <O: One, two, three miles off. It is coming this way.>",
            "{O} [read the barometer|bent over the barometer]. <O: It has never been so low. Not since the year of the %[great flood|broken mole|two wrecks].>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[Then there was a sail|And then a sail appeared], [patched, but upright|torn but up], and [it was {thing}|the boat under it was {thing}]! <H!: They are in! All of them! Open a barrel!>",
                    "[At midnight the door flew open|The door flew open at midnight], and [in walked the crew of {thing}|there stood the crew of {thing}], [wet as eels|soaked to the skin]. <H!: I could kiss every one of you, beards and all!>",
                ],
            ),
            (
                "calm",
                &[
                    "[Towards morning|Before morning] the wind [died|dropped], and {thing} [came in on the flood|drifted in with the tide], [none the worse|without a scratch]. <H!: It blew itself out. They always do, if you give them time.>",
                    "[Word came|A message came] from Elverton: {thing} [had put in there|lay safe there] [at noon|since midday]. <H!: Then we may all go to bed.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[In the morning|When morning came] [they found an oar|an oar was found], with {thing} [burned into the wood|cut into its handle], and [nothing else|that was all]. <H!: I taught that boy to row with this.>",
                    "[The sea gave back|All that the sea gave back was] a cap and [a lantern|one lantern]. {thing} [was never seen again|did not come home]. <H!: I will tell his mother. It should be me.>",
                ],
            ),
            (
                "fear",
                &[
                    "[Then came a scream of wood|There was a scream of wood on rock], [out in the dark|somewhere out in the dark], and [the lamp went out|all at once the lamp went out]. <H!: Was that her? Oh, say that it was not her!>",
                    "[The next sea took the railing|A sea came over and took the railing], and [the floor moved underfoot|the whole house shook]. <H!: It is coming in. We have to get out, now, by the back stairs!>",
                ],
            ),
            (
                "anger",
                &[
                    "[It turned out|Then it came out] that the owner of {thing} [had sold the second pump|had never paid for a second pump]. <H!: He sent them out with one pump, to save four pounds!>",
                    "[And the lifeboat crew|The lifeboat men, meanwhile,] [were still at the inn|sat over their cards]. <H!: Get up! There are men out there, and you sit here playing cards!>",
                ],
            ),
        ],
    },
    Plot {
        topic: "storm",
        heroes: &["alder", "jonas", "hale", "quill", "ines", "nell"],
        places: &["orchard", "boatyard", "school", "bakery", "market", "river"],
        things: &["roof", "chimney", "big shutter", "weather vane"],
        setups: &[
            "[In the night|During the night] the {thing} [had begun to rattle|started rattling], and [{H} did not like the sound|the sound worried {H}].",
            "[The storm of the night before|Last night's storm] had [left the {thing} hanging by one hinge|nearly taken the {thing}], and [{H} had come to see|{H} stood looking up at it].",
            "[Clouds were piling up|Black clouds stood over the hills], and [the {thing} was not mended yet|nobody had mended the {thing}], {H} saw.",
        ],
        middles: &[
            "{arrive} {O} had brought [a ladder|a long ladder] and [a coil of rope|some rope]. <O: If we tie the {thing} to the %[beam|wall|oak], it may last until Sunday.>",
            "<O: When the gulls come inland, there is a storm behind them. I have counted %[forty|fifty|sixty] in the field.>",
            "[The first gust|A first gust] [knocked over a barrel|sent a barrel rolling], and {O} [ran after it|went running after it]. <H: Leave the barrel! Help me with the {thing}!>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[It held|The {thing} held]! [The whole storm went over|The storm went over their heads], and [not one slate was missing|nothing worse was lost than a hat]. <H!: Ha! Is that all it has got?>",
                    "[When it had passed|After it had passed], there was [a double rainbow|not one rainbow but two], and [the {thing} stood|the {thing} was still up]. <H!: We beat it! You and I and forty feet of rope!>",
                ],
            ),
            (
                "calm",
                &[
                    "[They tied the last knot|The last knot was tied], and [they sat down inside to hear it blow|they went in to listen to it blow]. <H!: The {thing} will hold or it will not. The tea is hot either way.>",
                    "[The worst went by|The worst of it went by] to the north. <H!: I will see to the {thing} tomorrow, in dry weather.>",
                ],
            ),
            (
                "fear",
                &[
                    "[The {thing} went with a crack|With a crack the {thing} went], and [the sky was in the room|then all the slates slid at once]. <H!: Get down! Get under the table and do not move!>",
                    "[Lightning struck|A bolt struck] [the next house|the oak beside them], so near that [the air tasted of iron|their hair stood up]. <H!: The next one is for us. I know it is.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The builder had used|It had been put up with] [half as many screws|not half the screws] as [he was paid for|were on his bill]. <H!: I paid for that {thing}! He shall put it back with his own two hands!>",
                    "[The landlord had known|For a year the landlord had known] about the {thing} [for a year|and done nothing]. <H!: I told him in %[May|June|March]. I told him in writing!>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[The {thing} had fallen|The {thing} lay] across [the little pear that was planted for the baby|the bench that two people used to share], and [crushed it|there was nothing left of it]. <H!: Of all the places where it could have come down.>",
                    "[By dawn it was gone|At dawn the {thing} was gone], [and forty years of swallows' nests with it|with all the swallows' nests beneath]. <H!: They will come back and look for it. How do you tell a swallow?>",
                ],
            ),
        ],
    },
];
