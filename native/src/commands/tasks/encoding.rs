//! Encoding of questions and continuations as tokens, as in EleutherAI's lm-evaluation-harness.
//!
//! The rules are those of version 0.4.13 for its causal models of kind `hf`:
//!
//! - White space at the end of the context is moved to the beginning of the continuation, since most tokenizers
//!   put a space into the token of the word after it (`_encode_pair` of `lm_eval/api/model.py`).
//! - The continuation's tokens are those of context and continuation encoded as one text, after as many tokens as the
//!   context alone has. A token that spans both therefore counts as the context's.
//! - No token is added before the context, except if the context is empty: then it is the end-of-text token, and a
//!   continuation that begins with that token has it for its context (`loglikelihood`, there).
//! - Pairs longer than the model's context are truncated on the left; the continuation stays whole
//!   (`_loglikelihood_tokens` of `lm_eval/models/huggingface.py`).
//!
//! A context of only white space fails in the harness; here it counts as empty.

use anyhow::{Result, bail, ensure};
use nitp_core::data::Tokenizer;
use nitp_core::train::Continuation;

use super::items::Item;

/// Tokens of a context and of a continuation.
pub type Pair = (Vec<u32>, Vec<u32>);

/// The pair of each continuation of an item.
///
/// # Errors
/// Text without a token, an empty context if the tokenizer has no end-of-text token, or a continuation that adds no
/// token.
pub fn encode(tokenizer: &Tokenizer, item: &Item) -> Result<Vec<Pair>> {
    let context = item.question.trim_end();
    let moved = &item.question[context.len()..];
    let before = tokenizer.encode(context)?;
    let pair = |continuation: &String| -> Result<Pair> {
        let continuation = format!("{moved}{}{continuation}", item.delimiter);
        let whole = tokenizer.encode(&format!("{context}{continuation}"))?;
        let (before, after) = match tokenizer.end_of_text() {
            _ if !before.is_empty() => {
                (before.clone(), whole.get(before.len()..).unwrap_or_default().to_vec())
            }
            Some(end) if whole.first() != Some(&end) => (vec![end], whole),
            Some(end) => (vec![end], whole[1..].to_vec()),
            None => bail!(
                "the question is empty, and the tokenizer has no end-of-text token to use instead: \
                give the question a text, or set data.end_of_text when training"
            ),
        };
        ensure!(
            !after.is_empty(),
            "the continuation {continuation:?} adds no token to those of its question"
        );
        Ok((before, after))
    };
    item.continuations.iter().map(pair).collect()
}

/// The last tokens of a pair that fit a model with this context, and whether the pair was truncated.
///
/// # Errors
/// A continuation that is longer than the context.
pub fn cut((before, after): Pair, context: usize) -> Result<(Continuation, bool)> {
    ensure!(
        after.len() <= context,
        "a continuation has {} tokens, and the model reads {context} (train.context_length): the \
        continuation can't be scored whole",
        after.len()
    );
    // The last token is only a label, and not an input.
    let kept = (before.len()).min(context + 1 - after.len());
    let is_cut = kept < before.len();
    let mut tokens = before[before.len() - kept..].to_vec();
    tokens.extend(after);
    Ok((Continuation { tokens, first: kept }, is_cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(question: &str, continuations: &[&str], delimiter: &str) -> Item {
        Item {
            place: "line 1".to_owned(),
            question: question.to_owned(),
            continuations: continuations.iter().map(ToString::to_string).collect(),
            delimiter: delimiter.to_owned(),
            answer: Some(0),
        }
    }

    fn bytes(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn demo() -> Tokenizer {
        Tokenizer::from_json(include_str!("../../../../demo-data/tokenizer.json")).unwrap()
    }

    #[test]
    fn white_space_moves_to_the_continuation() {
        let tokenizer = Tokenizer::new("byte", 256).unwrap();
        let pairs = encode(&tokenizer, &item("ab \n", &["c", "dé"], " ")).unwrap();
        assert_eq!(pairs[0], (bytes("ab"), bytes(" \n c")));
        assert_eq!(pairs[1], (bytes("ab"), bytes(" \n dé")));
        // In the demo tokenizer, "harbour" has fewer tokens with its space than without.
        let tokenizer = demo();
        let [moved, usual] =
            ["The ", "The"].map(|it| encode(&tokenizer, &item(it, &["harbour"], "")).unwrap());
        assert_eq!(moved[0].0, usual[0].0);
        assert_eq!(moved[0].1, tokenizer.encode(" harbour").unwrap());
        assert_ne!(moved[0].1, usual[0].1);
    }

    #[test]
    fn the_whole_is_encoded_as_one_text() {
        let tokenizer = demo();
        for (question, continuation) in [("The boat", "s lay"), ("It rained", "in the harbour.")] {
            for delimiter in ["", " "] {
                let (before, after) =
                    encode(&tokenizer, &item(question, &[continuation], delimiter))
                        .unwrap()
                        .remove(0);
                assert_eq!(before, tokenizer.encode(question).unwrap());
                let whole =
                    tokenizer.encode(&format!("{question}{delimiter}{continuation}")).unwrap();
                assert_eq!(after, whole[before.len()..]);
            }
        }
    }

    #[test]
    fn an_empty_context_is_the_end_of_text() {
        let tokenizer = demo();
        let end = tokenizer.end_of_text().unwrap();
        for question in ["", " "] {
            let pair = encode(&tokenizer, &item(question, &["boat"], "")).unwrap().remove(0);
            assert_eq!(pair, (vec![end], tokenizer.encode(&format!("{question}boat")).unwrap()));
        }
        let marked = encode(&tokenizer, &item("", &["<|endoftext|>boat"], "")).unwrap().remove(0);
        assert_eq!(marked, (vec![end], tokenizer.encode("boat").unwrap()));
        let bytes = Tokenizer::new("byte", 256).unwrap();
        let error = encode(&bytes, &item("", &["boat"], "")).unwrap_err();
        assert!(error.to_string().contains("no end-of-text token"), "{error}");
    }

    #[test]
    fn a_continuation_needs_a_token_of_its_own() {
        let tokenizer = Tokenizer::new("byte", 257).unwrap();
        let error = encode(&tokenizer, &item("", &["<|endoftext|>"], "")).map(|_| ());
        // With bytes, the name of a special token is plain text.
        assert!(error.is_ok());
        let error = encode(&demo(), &item("", &["<|endoftext|>"], "")).unwrap_err();
        assert!(error.to_string().contains("adds no token"), "{error}");
    }

    #[test]
    fn too_long_a_context_is_cut_on_the_left() {
        let (before, after) = ((0..10).collect::<Vec<u32>>(), vec![20, 21, 22]);
        let cut = |context| cut((before.clone(), after.clone()), context);
        // The last of 13 tokens is not an input.
        let (whole, is_cut) = cut(12).unwrap();
        assert_eq!((whole.tokens.len(), whole.first, is_cut), (13, 10, false));
        let (shorter, is_cut) = cut(11).unwrap();
        assert_eq!((shorter.tokens[0], shorter.first, is_cut), (1, 9, true));
        let (least, is_cut) = cut(3).unwrap();
        assert_eq!((least.tokens, least.first, is_cut), (vec![9, 20, 21, 22], 1, true));
        let error = cut(2).unwrap_err().to_string();
        assert!(error.contains("has 3 tokens") && error.contains("reads 2"), "{error}");
    }
}
