use std::collections::HashSet;

use super::*;

fn config(context_length: usize, fraction: f64) -> Config {
    let mut config = Config::default();
    config.model.vocab_size = 257;
    config.train.context_length = context_length;
    config.train.batch_size = 4;
    config.train.gradient_accumulation_steps = 2;
    config.train.eval_batches = 3;
    config.data.validation_fraction = fraction;
    config
}

fn dataset(config: &Config, texts: &[String]) -> Result<Dataset, DataError> {
    let tokenizer = Tokenizer::new("byte", config.model.vocab_size).unwrap();
    let corpus = TokenCorpus::from_texts(&tokenizer, texts.iter().map(String::as_str)).unwrap();
    Dataset::new(config, &tokenizer, corpus)
}

/// Documents of ten ascending numbers, in which no two windows of eight bytes are equal.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|i| (10 * i..10 * i + 10).map(|n| format!("{n:06},")).collect()).collect()
}

#[test]
fn an_epoch_of_steps_has_every_row_once() {
    let config = config(16, 0.1);
    let dataset = dataset(&config, &texts(200)).unwrap();
    let steps = dataset.sources()[0].rows_per_epoch() / 8;
    let mut rows = HashSet::new();
    for step in 0..steps {
        for micro in 0..2 {
            let batch = dataset.train_batch(step, micro);
            assert_eq!(batch, dataset.train_batch(step, micro));
            for (inputs, labels) in batch.input_ids.chunks(16).zip(batch.labels.chunks(16)) {
                assert_eq!(inputs[1..], labels[..15]);
                rows.insert((inputs.to_vec(), labels.to_vec()));
            }
        }
    }
    assert!(steps > 20);
    assert_eq!(rows.len(), steps * 8);
}

#[test]
fn held_out_text_is_never_trained_on() {
    const CONTEXT: usize = 8;
    let config = config(CONTEXT, 0.2);
    // Of many documents, whole ones are held out; of a single one, its end.
    for texts in [texts(100), vec![texts(100).concat()]] {
        let dataset = dataset(&config, &texts).unwrap();
        let stream = &dataset.sources()[0].split.held_out;
        let held_out = stream.window(&dataset.sources()[0].corpus, 0, stream.len()).tokens;
        let held_out: HashSet<&[u32]> =
            held_out.windows(CONTEXT).filter(|row| !row.contains(&256)).collect();
        let mut trained = 0;
        for step in 0..3 * dataset.sources()[0].rows_per_epoch() / 8 {
            for micro in 0..2 {
                let batch = dataset.train_batch(step, micro);
                for tokens in [&batch.input_ids, &batch.labels] {
                    assert!(tokens.chunks(CONTEXT).all(|row| !held_out.contains(row)));
                    trained += tokens.len();
                }
            }
        }
        assert!(trained > 2 * 2 * 5000 && held_out.len() > 1000);
        assert_eq!(dataset.validation_batches(), 3);
        for index in 0..3 {
            let batch = dataset.validation_batch(index);
            let mut rows = batch.input_ids.chunks(CONTEXT).filter(|row| !row.contains(&256));
            assert!(rows.all(|row| held_out.contains(row)));
        }
    }
}

#[test]
fn evaluation_rows_spread_over_the_text_without_overlap() {
    let starts = |tokens, rows, batches| -> Vec<usize> {
        validation_rows(tokens, 10, rows * batches).iter().map(|row| row.start).collect()
    };
    assert_eq!(starts(1001, 4, 2), [0, 120, 250, 370, 500, 620, 750, 870]);
    for (tokens, batches) in [(89, 2), (100, 2), (999, 20)] {
        let starts = starts(tokens, 4, batches);
        assert_eq!(starts.len(), 4 * batches);
        assert!(starts.windows(2).all(|pair| pair[1] >= pair[0] + 10));
        assert!(starts.last().unwrap() + 11 <= tokens);
    }
}

#[test]
fn a_short_text_is_evaluated_whole_and_once() {
    for tokens in [11, 20, 21, 41, 45, 158] {
        let rows = validation_rows(tokens, 10, 4000);
        let counted = rows.iter().flat_map(|row| (row.from..10).map(|t| row.start + t));
        assert_eq!(counted.collect::<Vec<_>>(), (0..tokens - 1).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| row.start + 11 <= tokens));
    }
}

#[test]
fn text_that_is_too_short_says_how_much_is_missing() {
    let text = vec!["x".repeat(100)]; // and an end of text
    let error = dataset(&config(101, 0.0), &text).unwrap_err();
    assert_eq!(error, DataError::TrainingTooShort { tokens: 101, total: 101, needed: 102 });
    assert!(
        error.to_string().ends_with("102: give more text, or set a smaller train.context_length")
    );
    assert!(dataset(&config(100, 0.0), &text).is_ok());
    let error = dataset(&config(20, 0.1), &text).unwrap_err();
    assert_eq!(error, DataError::HeldOutTooShort { tokens: 10, total: 101, needed: 21 });
    assert!(
        error
            .to_string()
            .contains("set a larger data.validation_fraction, set data.validation_fraction=0")
    );
    // No fraction leaves a row for each part.
    for (fraction, part) in [(0.1, "held-out text has 10"), (0.9, "training text has 10")] {
        let error = dataset(&config(60, fraction), &text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(error.contains("more text, set data.validation_fraction=0 to train"), "{error}");
    }
}

#[test]
fn a_corpus_can_be_evaluated_on_alone() {
    let config = config(16, 0.5);
    let tokenizer = Tokenizer::new("byte", 257).unwrap();
    let corpus = TokenCorpus::from_texts(&tokenizer, ["short"]).unwrap();
    let error = Dataset::held_out_only(&config, &tokenizer, corpus).unwrap_err();
    assert_eq!(error, DataError::EvaluationTooShort { tokens: 6, needed: 17 });
    assert!(!error.to_string().contains("validation_fraction"), "{error}");
    let text = "y".repeat(16 * 4 * 3);
    let corpus = TokenCorpus::from_texts(&tokenizer, [text.as_str()]).unwrap();
    let dataset = Dataset::held_out_only(&config, &tokenizer, corpus).unwrap();
    assert_eq!((dataset.validation_batches(), dataset.sources()[0].rows_per_epoch()), (3, 0));
    let labels: usize = (0..3).map(|i| dataset.validation_batch(i).label_count).sum();
    assert_eq!(labels, 16 * 4 * 3);
    // All bytes except the first, which is no label; the end-of-text token has no bytes.
    let bytes: usize = (0..3).map(|i| dataset.validation_batch(i).byte_count).sum();
    assert_eq!(bytes, 16 * 4 * 3 - 1);
}

#[test]
fn a_mixture_has_rows_of_each_text_by_weight_and_in_its_own_order() {
    let mut config = config(8, 0.1);
    config.data.paths = vec!["digits".to_owned(), "letters".to_owned()];
    config.data.weights = vec![3.0, 1.0];
    let tokenizer = Tokenizer::new("byte", 257).unwrap();
    let corpora = || -> Vec<TokenCorpus> {
        let letters: Vec<String> = texts(300)
            .iter()
            .map(|text| text.bytes().map(|byte| char::from(byte + b'A' - b'+')).collect())
            .collect();
        let corpus = |texts: &[String]| {
            TokenCorpus::from_texts(&tokenizer, texts.iter().map(String::as_str)).unwrap()
        };
        vec![corpus(&texts(50)), corpus(&letters)]
    };
    let dataset = Dataset::mixed(&config, &tokenizer, corpora()).unwrap();
    let is_letters = |row: &[u32]| row.iter().any(|&id| (u32::from(b'A')..=90).contains(&id));
    let mut rows: [Vec<Vec<u32>>; 2] = Default::default();
    for step in 0..125 {
        for micro in 0..2 {
            let batch = dataset.train_batch(step, micro);
            for row in batch.input_ids.chunks(8) {
                rows[usize::from(is_letters(row))].push(row.to_vec());
            }
        }
    }
    assert_eq!(rows.each_ref().map(Vec::len), [750, 250]);
    assert_eq!(dataset.shares(), [0.75, 0.25]);
    // Each text is read as it would be alone.
    for (index, corpus) in corpora().into_iter().enumerate() {
        let alone = Dataset::new(&config, &tokenizer, corpus).unwrap();
        let mut expected: Vec<Vec<u32>> = Vec::new();
        for step in 0.. {
            let batches = [alone.train_batch(step, 0), alone.train_batch(step, 1)];
            let rows = batches.iter().flat_map(|batch| batch.input_ids.chunks(8));
            expected.extend(rows.map(<[u32]>::to_vec));
            if expected.len() > 750 {
                break;
            }
        }
        expected.truncate(rows[index].len());
        let mut found = rows[index].clone();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
    // 12 rows of evaluation.
    let batches = (0..dataset.validation_batches()).map(|index| dataset.validation_batch(index));
    let rows: Vec<bool> =
        batches.flat_map(|it| it.input_ids.chunks(8).map(is_letters).collect::<Vec<_>>()).collect();
    assert_eq!((rows.len(), rows.iter().filter(|&&it| it).count()), (12, 3));
    assert_eq!(rows[..4].iter().filter(|&&it| it).count(), 1);
    let other = Config {
        data: crate::config::DataConfig { weights: vec![1.0, 1.0], ..config.data.clone() },
        ..config.clone()
    };
    let other = Dataset::mixed(&other, &tokenizer, corpora()).unwrap();
    assert_ne!(dataset.fingerprint(), other.fingerprint());
    let short = TokenCorpus::from_texts(&tokenizer, ["short"]).unwrap();
    let corpora = vec![corpora().remove(0), short];
    let error = Dataset::mixed(&config, &tokenizer, corpora).unwrap_err().to_string();
    assert!(error.contains("data.paths, number 2: the training text has"), "{error}");
}
