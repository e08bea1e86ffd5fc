//! The tokenizer's contract, on small examples.

use crate::data::Tokenizer;
use crate::data::tokenizer_training::train_bpe;

const TEXT: &str = "The tide, ünd\n\nthe bôats;\n the tide.\nEnd \u{1F600}\n";

fn bpe() -> Tokenizer {
    let texts = std::iter::repeat_n(TEXT.to_owned(), 3);
    Tokenizer::from_json(&train_bpe(texts, 280).unwrap()).unwrap()
}

#[test]
fn bytes_come_back_and_so_do_broken_ones() {
    let tokenizer = Tokenizer::new("byte", 256).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (256, None));
    let tokens = tokenizer.encode("é!").unwrap();
    assert_eq!(tokens, [0xC3, 0xA9, 0x21]);
    assert_eq!(tokenizer.decode(&tokens), "é!");
    assert_eq!(tokenizer.decode(&[0xC3, 0x21, 256]), "\u{FFFD}!");
    let tokenizer = Tokenizer::new("byte", 300).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (257, Some(256)));
    assert_eq!(tokenizer.token_bytes()[255..], [1, 0]);
}

#[test]
fn the_byte_tokenizer_as_a_file_gives_the_same_ids() {
    for vocab_size in [256, 257] {
        let bytes = Tokenizer::new("byte", vocab_size).unwrap();
        let file = Tokenizer::new(&bytes.to_json(), vocab_size).unwrap();
        assert_eq!(file.vocab_size(), bytes.vocab_size());
        assert_eq!(file.end_of_text(), bytes.end_of_text());
        assert_eq!(file.token_bytes(), bytes.token_bytes());
        let text: String = ('\0'..'\u{180}').chain("\u{1F600}".chars()).collect();
        assert_eq!(file.encode(&text).unwrap(), bytes.encode(&text).unwrap());
    }
}

#[test]
fn a_tokenizer_json_keeps_text_and_knows_its_bytes() {
    let tokenizer = bpe();
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (280, Some(0)));
    let tokens = tokenizer.encode(TEXT).unwrap();
    assert!(tokens.len() < TEXT.len());
    assert_eq!(tokenizer.decode(&tokens), TEXT);
    let bytes = tokenizer.token_bytes();
    let total: u32 = tokens.iter().map(|&id| bytes[id as usize]).sum();
    assert_eq!((total as usize, bytes[0]), (TEXT.len(), 0));
}

#[test]
fn implied_spaces_count_as_bytes() {
    let json = r###"{"version":"1.0","truncation":{"direction":"Right","max_length":2,
        "strategy":"LongestFirst","stride":0},"padding":null,"added_tokens":[{"id":4,
        "content":"</s>","single_word":false,"lstrip":false,"rstrip":false,
        "normalized":false,"special":true}],"normalizer":null,
        "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,
        "decoder":{"type":"WordPiece","prefix":"##","cleanup":false},"model":{
        "type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
        "max_input_chars_per_word":9,"vocab":{"[UNK]":0,"sea":1,"##s":2,"é":3,"</s>":4,"x":9}}}"###;
    let tokenizer = Tokenizer::from_json(json).unwrap();
    assert_eq!(tokenizer.vocab_size(), 10);
    assert_eq!(tokenizer.end_of_text(), Some(4));
    assert_eq!(tokenizer.token_bytes()[1..], [4, 1, 3, 0, 0, 0, 0, 0, 2]);
    // The file truncates to two tokens; a corpus must not be truncated.
    assert_eq!(tokenizer.encode("sea seas é").unwrap(), [1, 1, 2, 3]);
}

#[test]
fn errors_name_the_sizes_and_the_way_out() {
    let error = Tokenizer::new("byte", 200).unwrap_err().to_string();
    assert!(error.contains("256 tokens") && error.contains("model.vocab_size = 200"), "{error}");
    let error = Tokenizer::new(&bpe().to_json(), 279).unwrap_err().to_string();
    assert!(error.contains("280 tokens") && error.contains("279"), "{error}");
    let error = Tokenizer::new("{\"a\": 1}", 999).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}
