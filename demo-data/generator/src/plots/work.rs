//! Plots of work: craft, trade and learning.

use super::Plot;

pub const PLOTS: &[Plot] = &[
    Plot {
        topic: "craft",
        heroes: &["jonas", "mara", "tobias", "nell", "bryce", "rosa"],
        places: &["boatyard", "quay", "lighthouse", "inn"],
        things: &["old dinghy", "rocking chair", "oak table", "skiff"],
        setups: &[
            "[The {thing} had a crack|There was a crack in the {thing}] [from one end to the other|as long as a forearm], and {H} [had promised to mend it|had given {his} word to mend it].",
            "{H} [had taken the {thing} apart|had the {thing} in pieces], and [was no longer sure how it had been|now nothing seemed to fit].",
            "[It was {H}'s first try|{H} had never tried {his} hand] at [mending anything|such work], and the {thing} [was older than {him}|had been a wreck for years].",
        ],
        middles: &[
            "<O: Do not force the joint. Wet the wood, wait an hour, and it will %[swell|bend|give] by itself.> {H} [put down the hammer|laid the hammer aside].",
            "{arrive} {O} [held the lamp|held the boards together] while [the glue took|{H} drove in the pegs]. <O: It only has to last until %[Easter|Michaelmas|the regatta].>",
            "[One peg was missing|They were a peg short], so {O} [cut one|whittled another] from [a broom|an old broom handle]. <H: It is a better peg than the others.>",
            "[Under the paint|Beneath the old paint] [was a second coat, and under that a third|there were three older coats]: %[red, green and white|blue, black and yellow]. <O: Every owner wanted it to be new.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[The {thing} stood|And now the {thing} stood] [without a wobble|as firm as a church], and {O} [climbed onto it and cheered|gave three cheers]. <H!: It is better than new, and I made it so!>",
                    "[Everybody who tried the {thing}|All who tried the {thing}] [wanted one|asked for one like it]. <H!: I shall need more wood! A great deal more wood!>",
                ],
            ),
            (
                "calm",
                &[
                    "[They gave the {thing} a coat of oil|The {thing} got its coat of oil] and [left it to dry|set it in the shade to dry]. <H!: Nothing to do now but wait. I do not mind waiting for oil.>",
                    "{H} [ran a finger along the mended place|felt for the crack], and [hardly found it|it was gone]. <H!: Good. One thing less in the world that wants mending.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[A name was scratched|They came upon a name scratched] on the underside of the {thing}, [in a child's hand|in crooked letters]. <H!: He did that when he was five. I had forgotten his writing.>",
                    "[The worm had got too deep|The wood was eaten through], and the {thing} [came to pieces|fell apart] [in {H}'s hands|as {H} lifted it]. <H!: It waited for me all those years, and I came too late.>",
                ],
            ),
            (
                "anger",
                &[
                    "[The saw slipped|With one slip of the saw], and [a week's work was firewood|the week's work was spoiled], because [somebody had blunted the blade|somebody had used it on stone]. <H!: Who has been cutting bricks with my saw?>",
                    "[The customer came|When the customer came, he] looked at the {thing}, and [offered half|would pay no more than half]. <H!: Half? Then you can have half of it! Which end do you want?>",
                ],
            ),
            (
                "wonder",
                &[
                    "[Between two boards of the {thing}|Inside the {thing}, between two boards,] [was folded paper|they found folded paper]: [a love letter^post|an old letter^post], [a hundred years old|dated a hundred years back]. <H!: All this time people sat a hand away from it.>",
                    "[When the last peg went in|As the last peg went home], the {thing} [rang like a bell|gave out one clear note]. <H!: How did the old ones know to build a note into it?>",
                ],
            ),
        ],
    },
    Plot {
        topic: "craft",
        heroes: &["ines", "nell", "rosa", "alder", "quill", "hale"],
        places: &["school", "bakery", "market", "inn", "orchard", "bank"],
        things: &["kite", "lantern", "clock", "music box", "doll's house"],
        setups: &[
            "{H} was [making a {thing}|at work on a {thing}] out of [what there was|odds and ends]: %[wire, paper and a broken comb|two spoons and a cigar box|string, willow and sailcloth].",
            "[The {thing} had stopped working|The {thing} no longer worked], and {H} [had it open on a cloth|had spread its insides on a cloth], [each part in its place|every part in a row].",
            "[It was to be a present|A present was wanted], and {H} [had decided on a {thing}|was making a {thing}] [with {his} own hands|all by {himself}].",
        ],
        middles: &[
            "{arrive} <O: What will it be when it is done?> <H: A {thing}. Can you not tell?> {O} [turned it round|looked at it from the other side] and [nodded kindly|was kind enough to nod].",
            "[A small part rolled away|One small part rolled off], and [they were both on hands and knees|both went down on their knees]. <O: Here it is, %[under the cupboard|by the skirting|next to the cat].>",
            "<O: Put a drop of %[oil|glue|paint] there, only a drop.> {H} [put three|put in three drops, to be safe].",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[And it worked|It worked, the very first time]! The {thing} [did everything that a {thing} should|was just what a {thing} should be]. <H!: Call the others! Call everyone! Look what I have made!>",
                    "[The face of the child who got the {thing}|The child who got the {thing} had a face that] [was worth the three weeks|repaid three weeks of work]. <H!: I would make a hundred, to see that again!>",
                ],
            ),
            (
                "calm",
                &[
                    "{H} [set the {thing} on the sill|found a place for the {thing} on the sill] and [sat down across from it|looked at it over a cup of tea]. <H!: It is a little crooked. So am I. We shall get along.>",
                    "[There was no hurry about the {thing}|The {thing} could wait]. [They put the parts in a box|Its parts went into a box] [for another evening|until another evening]. <H!: Half of it today, half on Sunday. That is the right speed.>",
                ],
            ),
            (
                "anger",
                &[
                    "[Someone had sat on the {thing}|The {thing} had been sat on], and [nobody owned up|nobody would admit it]. <H!: Three weeks of work! Three weeks, and not even a sorry!>",
                    "[The shop had sold {H} the wrong glue|It was the wrong glue, with the right label], and [the {thing} slid apart|the {thing} would not hold]. <H!: I shall pour the rest of it into his hat!>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[The one it was for|The child it was meant for] [had moved away|had gone away on the morning boat] before [the {thing} was finished|{H} had finished the {thing}]. <H!: I was only one day late.>",
                    "[The {thing} moved once|Once the {thing} moved], and [then something broke|then it stopped for good]. <H!: Mother could have put it right. She always could.>",
                ],
            ),
            (
                "wonder",
                &[
                    "[Nobody touched the {thing}, and yet it moved|With nobody near it the {thing} moved], [a little to the left|slowly, towards the window]. <H!: It wants something. Look, it is pointing at the sea.>",
                    "[In the dusk|At dusk] the {thing} [threw a shadow on the wall|cast a shadow], and [the shadow was a ship in full sail|its shadow had masts and sails]. <H!: I never made that. Did I make that?>",
                ],
            ),
        ],
    },
    Plot {
        topic: "trade",
        heroes: &["ines", "mara", "alder", "jonas", "rosa", "tobias"],
        places: &["market", "quay", "bakery", "orchard"],
        things: &[
            "basket of pears",
            "cheese",
            "copper kettle",
            "barrel of herring",
            "wool blanket",
            "crate of eggs",
        ],
        setups: &[
            "{H} [had a {thing} to sell|wanted to sell a {thing}], and [hoped for a good price|did not mean to give it away].",
            "[The price of everything had gone up|Prices had risen again], and {H} [stood before a {thing}|had been eyeing a {thing}] with [one coin too few|not quite enough money].",
            "{H} [had agreed to swap|had promised to swap] a day's work for [a {thing}|one {thing}], and [now it was time to settle|today was the day].",
        ],
        middles: &[
            "{arrive} <O: How much for the {thing}?> <H: %[Nine|Eight|Seven] shillings.> <O: Four.> <H: Did you walk all this way to insult me?>",
            "<O: There is a dent in it,> said {O}, [which there was not|though there was none at all]. [They had done this every week for years|It was the game they played each week]. <H: Then it is a dent of the finest quality.>",
            "{O} [put coin after coin|laid down the coins one by one] on the %[board|barrel|wall], [slowly|as slowly as a priest]. <O: Five, six, and a half. That is all that I have.>",
            "[The {thing} was weighed|They weighed the {thing}], [and weighed again|twice over], and [the two of them looked at each other|neither liked the number]. <O: That is not what it weighed last week.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[They shook hands on it|It ended with a handshake], and [each believed that the other had lost|both thought they had won]. <H!: A pleasure to be robbed by you! Come again next week!>",
                    "[The {thing} went for double|In the end the {thing} fetched twice the price], to a [sailor|captain] who [did not ask for change|waved off the change]. <H!: Supper for the whole street! I am paying!>",
                ],
            ),
            (
                "calm",
                &[
                    "[They met in the middle|Half way between, they met], [as they did every time|as always]. <H!: Fair for you and fair for me. Sit down a moment, if you like.>",
                    "[In the end no money passed|No money changed hands in the end]: [the {thing} for a promise|a promise paid for the {thing}]. <H!: Bring it when you have it. I know where you live.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "{H} [watched the {thing} go off|saw the {thing} carried away] [under somebody's arm|down the street], [until the corner hid it|till it was out of sight]. <H!: My mother carried that home on her wedding day.>",
                    "[Nobody bought|There were no buyers]. [The {thing} went home again|{H} carried the {thing} home again] [as heavy as it had come|in the dusk]. <H!: What shall I tell the children?>",
                ],
            ),
            (
                "anger",
                &[
                    "[One of the coins bent|{H} bit a coin, and it bent]: [it was lead|nothing but painted lead]. <H!: Stop him! Stop that man! I want my {thing} back!>",
                    "[The same {thing} stood|There was the very same {thing}] at the next stall, [an hour later|within the hour], at [three times the price|three times what {H} had got]. <H!: You told me that it was for your sick aunt!>",
                ],
            ),
            (
                "fear",
                &[
                    "[The stranger did not bargain|The next customer never bargained]. [He laid down a knife|On the board he laid a knife] and [took the {thing}|reached for the {thing}]. <H!: Take it, take it, only do not come nearer.>",
                    "[The money was gone|There was no money in the box], [and the rent was due at noon|and at noon the rent was due]. <H!: They will put us out. They said that they would, the next time.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "trade",
        heroes: &["quill", "jonas", "ines", "bryce", "mara", "hale", "alder"],
        places: &["bank", "bank", "inn", "quay"],
        things: &["loan", "account", "deed", "bill"],
        setups: &[
            "[It was about the {thing}|The matter was the {thing}], and {H} [had brought all the papers|came with a folder of papers] [in order of date|tied with tape].",
            "[There was a mistake in the {thing}|The {thing} held a mistake], [of one penny|no bigger than a penny], and [{H} had found it|it was {H} who saw it].",
            "[The {thing} had to be signed|Someone had to sign the {thing}] by [noon|twelve], and {H} [read it for the third time|was reading it once more].",
        ],
        middles: &[
            "<O: Let us go through it once more. %[Forty pounds for timber|Thirty pounds for a mast|Fifty pounds for an oven], paid back over %[two|three|four] years.> {H} [followed the column with one finger|ran a finger down the column].",
            "{arrive} <O: I have come to say a word for {H}. Never late by a day, not in %[ten|eleven|twenty] years.>",
            "[The pen would not write|The pen was dry], and {O} [lent another|offered another]. <H: What happens if the herring do not come?> <O: Then we shall talk again, you and I.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[The stamp came down|Down came the stamp]: [paid in full|the {thing} was paid]. <H!: Eleven years! And now not one penny owed to anybody!>",
                    "[The answer was yes|They said yes], [with a smaller rate than {H} had dared to ask for|and to more than {H} had asked]. <H!: I shall buy the good timber, and cakes for everyone!>",
                ],
            ),
            (
                "calm",
                &[
                    "[The numbers agreed|In the end the sums agreed], [left side and right|both sides of the page]. <H!: There. It adds up. I find that it nearly always does.>",
                    "[They signed|Both signed], [blotted it|used the blotter] and [put the {thing} away|laid the {thing} in its drawer]. <H!: That is that, until next quarter.>",
                ],
            ),
            (
                "fear",
                &[
                    "[There was a clause on the back|On the back of the {thing} was a clause], [in small print|in print like fly specks], and [{H} read it last|nobody had mentioned it]. <H!: They can take the house. I have signed, and they can take the house.>",
                    "[A man in black|Some man in a black coat] [was asking for {H} by name|had asked for {H} at the counter] [about the {thing}|because of the {thing}]. <H!: Say that I am not here. Say that you have not seen me.>",
                ],
            ),
            (
                "anger",
                &[
                    "[They wanted a fee|There would be a fee], [for finding their own mistake|since the mistake had to be written down]. <H!: You lost my money, and now I am to pay for the search?>",
                    "[The {thing} was refused|They refused the {thing}], [because of a blot|on account of a blot on page two]. <H!: A blot! I will show you what a blot looks like!>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[So the shop would be sold|That meant that the shop had to go], and [the sign over the door with it|with it the sign that grandfather had painted]. <H!: I only had to keep it. That was all I was asked to do.>",
                    "[In the drawer lay his savings book|Among the papers was a savings book]: [%[two|three] pounds a month, for a journey that he never made|every month %[two|three] pounds, for a voyage never made]. <H!: He never told me where he wanted to go.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "learning",
        heroes: &["nell", "mara", "jonas", "tobias", "ines"],
        places: &["school", "lighthouse", "quay", "bakery", "inn"],
        things: &["book of voyages", "spelling book", "atlas", "tide table"],
        setups: &[
            "{H} [was bent over the {thing}|had the {thing} open], [one finger under each word|with a finger under the words].",
            "[The lesson was|Today's lesson came] from the {thing}, and {H} [did not understand a line of it|was lost by the second line].",
            "{H} [had never learned to read properly|could not read as well as people believed], and [the {thing} was where it would begin|had chosen the {thing} to begin with].",
        ],
        middles: &[
            "<O: Take it slowly. What does the first word say?> <H: It says %[harbour|current|island]. No, wait. Yes, it does.>",
            "{arrive} {O} [read a page aloud|read out one page], and [then passed the {thing} back|handed the {thing} back]. <O: Now you. Nobody is listening but me.>",
            "<H: Who decides how a word is spelled?> <O: Dead people, mostly. And printers.> {H} [thought about that|wrote that down].",
            "[They came to the word %[horizon|latitude|monsoon]|Then came the word %[horizon|latitude|monsoon]], and {O} [drew it|made a sketch of it] in [the dust|chalk]. <O: Do you see it now?>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[And all at once|Then, all at once,] [the letters made sense|the words stood still], and {H} [read to the end of the page|read the whole page] [without a stop|in one go]. <H!: I can do it! Give me another! Give me anything with words on it!>",
                    "{H} [got every answer right|made no mistake], [even the hard one|even in the hard ones]. <H!: Full marks! I am going to frame it!>",
                ],
            ),
            (
                "calm",
                &[
                    "[They did one page|One page was done], [no more|and no more]. <H!: A page a day. By Christmas I shall be out of the harbour and half way to Spain.>",
                    "{H} [closed the {thing}|shut the {thing}] on [a pressed leaf, to keep the place|a leaf for a bookmark]. <H!: It will still be there tomorrow. That is the good thing about books.>",
                ],
            ),
            (
                "sorrow",
                &[
                    "[Inside the cover of the {thing}|In the front of the {thing}] [stood a name|a name was written], [with two dates|and below it two dates]. <H!: She was in the desk next to mine. I have not said her name for years.>",
                    "[It was the last lesson|There would be no more lessons]. {O} [was leaving on the Friday boat|would take Friday's boat], [for good|and not come back]. <H!: Who will tell me when I have got it wrong?>",
                ],
            ),
            (
                "anger",
                &[
                    "[Somebody had torn pages out|Pages had been torn out], [just where the storm began|right where the storm began], [for pipe spills|to be twisted into pipe spills]. <H!: Who does that? Who tears up a book?>",
                    "[A boy at the back laughed|There was laughter from the back], and {H} [heard it|went stiff]. <H!: Come up here, then, and read it better! No? I thought not!>",
                ],
            ),
            (
                "wonder",
                &[
                    "[The {thing} told of fish|There were fish in the {thing}] that [fly|live in trees], of [mountains under the sea|seas that burn at night]. <H!: And all of that is out there, just past the Anvil rock?>",
                    "[They held the page to the window|Against the window], and [between the lines|there between the printed lines] [was other writing|stood more writing], [brown and thin|as pale as tea]. <H!: Somebody hid a second book inside this one.>",
                ],
            ),
        ],
    },
    Plot {
        topic: "learning",
        heroes: &["nell", "rosa", "hale", "bryce", "quill", "tobias"],
        places: &["lighthouse", "school", "quay", "river", "orchard", "bank"],
        things: &["telescope", "compass", "magnifying glass", "globe"],
        setups: &[
            "{O} [had brought a {thing}|came with a {thing}], and {H} [wanted to know how it worked|had a great many questions].",
            "[How does a {thing} work|What is a {thing} for]? [That was the question|So the question ran], and {H} [meant to have an answer|would not go home without an answer].",
            "{H} [had the {thing} in both hands|was holding the {thing} with both hands], [the right way up at last|after trying it upside down].",
        ],
        middles: &[
            "<O: Hold it still. Now tell me what you see, and only what you see, not what you expect.> {H} [looked for a long while|was a long while looking].",
            "[They tried it|It was tried] on %[a feather|a dead bee|a drop of pond water], then on [{O}'s thumb|a thumb]. <O: The closer you look, the more there is.>",
            "<H: But how do they know that it is true?> <O: Somebody measured it, and then somebody else tried to prove him wrong for %[thirty|fifty|eighty] years.>",
        ],
        endings: &[
            (
                "joy",
                &[
                    "[Then {H} had it|Suddenly {H} had it], [all of it|the whole of it], and [explained it back to {O} without a breath|could not get the words out fast enough]. <H!: So that is why! That is why it works! It is easy!>",
                    "[The {thing} was a gift|\"It is yours,\" said {O}, and the {thing} changed hands]. <H!: Mine? To keep? I shall sleep with it under the pillow!>",
                ],
            ),
            (
                "calm",
                &[
                    "[They wrote down five numbers|Five numbers were written down], [one under another|in a neat column], and [that was the lesson|then it was time for tea]. <H!: I like things that come out the same each time.>",
                    "[With the {thing} between them|The {thing} lay between them], they [talked on|went on talking], [of nothing much|of this and that]. <H!: I do not need to know all of it today.>",
                ],
            ),
            (
                "fear",
                &[
                    "[What {H} saw through it|The thing that {H} saw] [was looking back|had a face]. <H!: I want to stop now. Please, I want to stop.>",
                    "[If the numbers were right|Should the sums be right], [the sea wall was too low by a yard|the wall was a yard too low]. <H!: And the big tide is on Thursday. Has nobody else worked this out?>",
                ],
            ),
            (
                "anger",
                &[
                    "[{O} had marked it wrong|It came back marked wrong], and [it was not wrong|it was right]. <H!: I measured it four times! Measure it yourself, if you do not believe me!>",
                    "[Somebody had dropped the {thing}|The {thing} had been dropped], and [put it back without a word|put back as if nothing had happened]. <H!: Cracked! And not one of you has the courage to say who did it!>",
                ],
            ),
            (
                "wonder",
                &[
                    "[There, quite plain, was the moon|The moon stood there, quite plain], with [mountains on it|the shadows of mountains]. <H!: It is a place. All this time it was a place.>",
                    "[A drop of water was full of beasts|In one drop of water swam beasts], [with wheels and oars and hair|all wheels and oars]. <H!: And they do not know that we are here. Does somebody look at us like that?>",
                ],
            ),
        ],
    },
];
