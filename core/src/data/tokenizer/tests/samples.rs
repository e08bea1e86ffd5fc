//! Tokenizers of every widely used kind, made from a small text, and texts for them.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::data::tokenizer_training::train_bpe;

/// Splits of GPT-4 and Llama 3, and of Qwen 2.
pub const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

const WORDS: &[&str] = &[
    "the",
    "tide",
    "The",
    "Boat",
    "it's",
    "we'll",
    "IT'S",
    "don't",
    "a",
    "I",
    "x1",
    "1999",
    "3",
    "naïve",
    "Ünder",
    "море",
    "Йод",
    "ёж",
    "ψυχή",
    "שלום",
    "سلام",
    "東京",
    "日本語で",
    "カタカナ",
    "한국어",
    "हिन्दी",
    "e\u{301}te\u{301}",
    "ﬁre",
    "½",
    "①",
    "\u{1F600}",
    "👩‍👩‍👧",
    "--",
    "...",
    ",",
    ".",
    "!",
    "?",
    "(",
    ")",
    "/",
    "\"",
    "'",
    "'s",
    "</",
    "<s>",
    "</s>",
    "<|endoftext|>",
    "[SEP]",
    "<pad>",
    "__init__",
    "fn",
    "{",
    "}",
    "==",
    "\u{FDFA}",
    "\u{feff}",
    "\u{200b}",
    "\u{0}",
    "\u{7f}",
    "▁",
    "▁▁",
    "Ġ",
    "##s",
    "<0x0A>",
];
const SPACES: &[&str] = &[
    " ", " ", " ", " ", " ", " ", " ", " ", " ", "  ", "   ", "\n", "\n", "\n\n", "\r\n", "\t", "",
    "", "\u{a0}", "\u{3000}", " \n", "\n ", "\n\t",
];

/// Text of about `bytes` bytes, in which all kinds of characters are neighbours.
pub fn mixed_text(seed: u64, bytes: usize) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(pick(&mut rng, WORDS));
        text.push_str(pick(&mut rng, SPACES));
        // Most text is words.
        for _ in 0..rng.random_range(0..4) {
            text.push_str(WORDS[rng.random_range(0..14)]);
            text.push(' ');
        }
    }
    text
}

fn pick<'a>(rng: &mut impl Rng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

fn added(id: usize, content: &str, special: bool) -> Value {
    json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": !special, "special": special })
}

fn file(
    added: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
) -> String {
    json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": decoder, "model": model })
    .to_string()
}

/// A byte-level BPE with these steps before the model.
pub fn byte_level(normalizer: Value, pre_tokenizer: Value) -> String {
    let json = train_bpe([mixed_text(1, 60_000)].into_iter(), 560).unwrap();
    let mut value: Value = json.parse().unwrap();
    value["normalizer"] = normalizer;
    value["pre_tokenizer"] = pre_tokenizer;
    value.to_string()
}

fn regex(pattern: &str) -> Value {
    json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false })
}

fn byte_steps(before: Vec<Value>) -> Value {
    let mut steps = before;
    steps.push(json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false }));
    json!({ "type": "Sequence", "pretokenizers": steps })
}

/// Tokens of a text with `▁` for its spaces, and their merges.
fn sentence_pieces() -> (Vec<String>, Vec<(String, String)>) {
    let text = mixed_text(2, 40_000);
    let mut tokens: Vec<String> = vec!["<unk>".into(), "<s>".into(), "</s>".into()];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let rare = ['日', '\u{1F600}', '\n', '½'];
    let mut characters: Vec<char> =
        text.replace(' ', "▁").chars().filter(|c| !rare.contains(c)).collect();
    characters.sort_unstable();
    characters.dedup();
    tokens.extend(characters.iter().map(char::to_string));
    let mut merges = Vec::new();
    for word in WORDS.iter().take(40) {
        for start in ["▁", ""] {
            let mut whole = start.to_owned();
            for c in word.chars().filter(|c| !rare.contains(c)) {
                let joined = format!("{whole}{c}");
                if !whole.is_empty() && !tokens.contains(&joined) {
                    merges.push((whole.clone(), c.to_string()));
                    tokens.push(joined.clone());
                }
                whole = joined;
            }
        }
    }
    // A token that crosses a space.
    tokens.push("e▁".into());
    merges.push(("e".into(), "▁".into()));
    (tokens, merges)
}

fn sentence_piece_bpe(normalizer: Value, pre_tokenizer: Value, decoder: Value) -> String {
    let (tokens, merges) = sentence_pieces();
    let vocab: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let model = json!({ "type": "BPE", "dropout": null, "unk_token": "<unk>",
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
        "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": merges });
    let special = vec![added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true)];
    file(special, normalizer, pre_tokenizer, decoder, model)
}

/// Llama 2's decoder.
fn byte_fallback_decoder() -> Value {
    json!({ "type": "Sequence", "decoders": [
        { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
        { "type": "ByteFallback" }, { "type": "Fuse" },
        { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] })
}

/// Llama 2: a normalizer with a prefix, no pre-tokenizer, byte fallback.
pub fn llama_2() -> String {
    let normalizer = json!({ "type": "Sequence", "normalizers": [
        { "type": "Prepend", "prepend": "▁" },
        { "type": "Replace", "pattern": { "String": " " }, "content": "▁" } ] });
    sentence_piece_bpe(normalizer, Value::Null, byte_fallback_decoder())
}

fn metaspace(scheme: &str, split: bool) -> Value {
    json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split })
}

fn unigram(normalizer: Value, pre_tokenizer: Value) -> String {
    let (tokens, _) = sentence_pieces();
    let vocab: Vec<Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| json!([token, -0.01 * id as f64 - 1.0]))
        .collect();
    let model = json!({ "type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": true });
    let decoder = json!({ "type": "Sequence", "decoders": [
        { "type": "ByteFallback" }, metaspace("always", true) ] });
    file(vec![added(2, "</s>", true)], normalizer, pre_tokenizer, decoder, model)
}

/// BERT: lower case, words, pieces.
pub fn word_piece() -> String {
    let mut tokens: Vec<String> =
        vec!["[PAD]".into(), "[UNK]".into(), "[CLS]".into(), "[SEP]".into()];
    for c in
        mixed_text(3, 20_000).to_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '½')
    {
        tokens.extend([c.to_string(), format!("##{c}")]);
    }
    tokens.extend(["the", "tide", "##ide", "boat", "do", "n", "##t"].map(str::to_owned));
    let mut seen = std::collections::HashSet::new();
    tokens.retain(|token| seen.insert(token.clone()));
    let vocab: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let model = json!({ "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": vocab });
    let normalizer = json!({ "type": "BertNormalizer", "clean_text": true,
        "handle_chinese_chars": true, "strip_accents": null, "lowercase": true });
    let decoder = json!({ "type": "WordPiece", "prefix": "##", "cleanup": true });
    let special = vec![added(1, "[UNK]", true), added(3, "[SEP]", true)];
    file(special, normalizer, json!({ "type": "BertPreTokenizer" }), decoder, model)
}

/// Tokenizers with rare decoders: a BPE with `</w>` at the ends of words, CTC, and no decoder.
fn other_decoder(decoder: Value) -> String {
    let tokens = ["<pad>", "a", "b", "ab", "c</w>", "</w>", "|", "a|", " .", "n't", "<unk>"];
    let vocab: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let model =
        json!({ "type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": [["a", "b"]] });
    file(vec![added(10, "<unk>", true)], Value::Null, Value::Null, decoder, model)
}

/// Each kind with its name, and whether long texts are cut for it.
pub fn kinds() -> Vec<(&'static str, String, bool)> {
    let gpt_2 = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let prefixed = json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true });
    let whole = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    let digits = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "Digits", "individual_digits": true }, gpt_2 ] });
    let deepseek =
        byte_steps(vec![regex(r"\p{N}{1,3}"), regex("[一-龥\u{3040}-ゟ゠-ヿ]+"), regex(DEEPSEEK)]);
    let gemma = json!({ "type": "Split", "pattern": { "String": " " },
        "behavior": "MergedWithPrevious", "invert": false });
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let spaces = json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " });
    let t5 = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "WhitespaceSplit" }, metaspace("always", true) ] });
    let no_spaces = json!({ "type": "Sequence", "decoders": [{ "type": "Fuse" }] });
    let meta = |scheme, split| {
        let decoder = json!({ "type": "Sequence", "decoders": [
            { "type": "ByteFallback" }, metaspace(scheme, split) ] });
        sentence_piece_bpe(Value::Null, metaspace(scheme, split), decoder)
    };
    vec![
        ("byte", "byte".into(), false),
        ("GPT-2", byte_level(Value::Null, gpt_2.clone()), true),
        ("GPT-2 with a prefix", byte_level(Value::Null, prefixed), true),
        ("byte-level without words", byte_level(Value::Null, whole), true),
        ("SmolLM", byte_level(Value::Null, digits), true),
        ("Llama 3", byte_level(Value::Null, byte_steps(vec![regex(LLAMA_3)])), true),
        ("Qwen 2", byte_level(json!({ "type": "NFC" }), byte_steps(vec![regex(QWEN_2)])), true),
        ("GPT-4o", byte_level(Value::Null, byte_steps(vec![regex(GPT_4O)])), true),
        ("DeepSeek", byte_level(Value::Null, deepseek), true),
        ("another regex", byte_level(Value::Null, byte_steps(vec![regex(r"\p{L}+ ?|\s+")])), false),
        (
            "a normalizer that strips",
            byte_level(json!({ "type": "Strip", "strip_left": true, "strip_right": true }), gpt_2),
            false,
        ),
        ("Llama 2", llama_2(), true),
        ("Gemma", sentence_piece_bpe(replace, gemma, byte_fallback_decoder()), true),
        ("Metaspace, always", meta("always", true), true),
        ("Metaspace, first", meta("first", false), true),
        ("Metaspace, never", meta("never", true), true),
        ("Unigram, always", unigram(Value::Null, metaspace("always", true)), true),
        ("Unigram, first", unigram(json!({ "type": "NFKC" }), metaspace("first", true)), true),
        ("Unigram without words", unigram(Value::Null, metaspace("always", false)), false),
        ("T5", unigram(spaces, t5), true),
        ("BERT", word_piece(), true),
        ("suffixes", other_decoder(json!({ "type": "BPEDecoder", "suffix": "</w>" })), false),
        (
            "CTC",
            other_decoder(
                json!({ "type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true }),
            ),
            false,
        ),
        ("no decoder", other_decoder(Value::Null), false),
        ("fused", other_decoder(no_spaces), false),
        (
            "cleaned up in the end",
            other_decoder(json!({ "type": "Sequence", "decoders": [
            { "type": "Fuse" }, { "type": "WordPiece", "prefix": "##", "cleanup": true } ] })),
            false,
        ),
    ]
}
