//! Closed forms against counts by hand and against the paper.

use super::*;

/// Counted by hand from the shapes of `nano`: V = 256, d = 32, 2 blocks, 4 heads and 2 kv heads of
/// 8, FFN 96.
#[test]
fn a_dense_model_by_hand() {
    let mut config = preset("nano").unwrap();
    config.train.context_length = 4;
    let counts = parameter_counts(&config);
    assert_eq!(counts.embedding, 256 * 32);
    assert_eq!(counts.lm_head, 256 * 32);
    // Per block: q 32x32, k and v 16x32, o 32x32.
    assert_eq!(counts.attention, 2 * (1024 + 512 + 512 + 1024));
    assert_eq!(counts.dense_ffn, 2 * 3 * 32 * 96);
    assert_eq!(counts.norms, 5 * 32);
    assert_eq!(counts.projector, 12 * 32 * 32);
    assert_eq!(counts.experts_routed + counts.experts_shared + counts.router, 0);
    assert_eq!(counts.total, 8192 + 8192 + 6144 + 18_432 + 160);
    assert_eq!(counts.active, counts.total);

    let flops = flops_per_token(&config);
    assert_eq!(flops.matmul, 6.0 * (6144 + 18_432 + 8192) as f64);
    // 2 blocks, 4 heads of 8, and 1 + 2 + 3 + 4 = 10 pairs of 4 tokens, 12 FLOPs a pair and entry.
    assert_eq!(flops.attention, 2.0 * 4.0 * 8.0 * 12.0 * 10.0 / 4.0);
    assert_eq!(flops.ntp, flops.matmul + flops.attention);
    assert_eq!(flops.nitp, 72.0 * 1024.0 + 18.0 * 32.0);
    // Two of the three FFN matrices, and 4 of the 12 FLOPs of attention.
    let again = 2.0 * f64::from(6144 + 18_432 / 3 * 2);
    assert_eq!(flops.recomputation, again + flops.attention / 3.0);
}

/// `tiny-moe`: one dense block, three of 8 experts of width 120 (two of a token) and a shared one
/// of 120, d = 128.
#[test]
fn a_mixture_by_hand() {
    let config = preset("tiny-moe").unwrap();
    let counts = parameter_counts(&config);
    assert_eq!(counts.dense_ffn, 3 * 128 * 352);
    assert_eq!(counts.experts_routed, 3 * 8 * 3 * 128 * 120);
    assert_eq!(counts.experts_shared, 3 * 3 * 128 * 120);
    assert_eq!(counts.router, 3 * 8 * 128);
    assert_eq!(counts.total - counts.active, 3 * 6 * 3 * 128 * 120);
}

#[test]
fn tying_and_settings_move_the_counts() {
    let mut config = preset("nano").unwrap();
    let untied = parameter_counts(&config);
    let flops = flops_per_token(&config);
    config.model.tie_word_embeddings = true;
    let tied = parameter_counts(&config);
    assert_eq!((tied.lm_head, untied.total - tied.total), (0, 256 * 32));
    assert_eq!(flops, flops_per_token(&config), "the product stays");

    config.nitp.regularizer = Regularizer::TokenCosine;
    assert_eq!(parameter_counts(&config).projector, 0);
    config.nitp = NitpConfig { projector: Projector::None, ..NitpConfig::default() };
    assert_eq!(parameter_counts(&config).projector, 0);
    assert_eq!(flops_per_token(&config).nitp, 18.0 * 32.0);
    config.nitp = NitpConfig { enabled: false, ..NitpConfig::default() };
    assert_eq!(parameter_counts(&config).projector, 0);
    assert_eq!(flops_per_token(&config).nitp, 0.0);
}

/// The paper: 5.06e9 FLOPs a token for 9b-a1b, NITP 1.18e8, that is 2.3%.
#[test]
fn the_papers_overhead() {
    let config = preset("9b-a1b").unwrap();
    let flops = flops_per_token(&config);
    assert_eq!((flops.paper_ntp / 1e7).round(), 506.0);
    assert_eq!((flops.paper_nitp / 1e6).round(), 118.0);
    assert_eq!((flops.paper_overhead() * 1000.0).round(), 23.0);
    // With the scores of 8192 tokens and the dense first block in the count, the share is smaller.
    assert!(flops.overhead() > 0.01 && flops.overhead() < flops.paper_overhead());
}

/// `nano` again: a block has 32 x (4 + 4 + 2 + 2) x 8 + 3 x 32 x 96 weights.
#[test]
fn rivals_by_hand() {
    let mut config = preset("nano").unwrap();
    config.train.context_length = 4;
    let of = |config: &Config| (parameter_counts(config), flops_per_token(config));
    let (without, ntp) = of(&config);
    assert_eq!((without.heads(), ntp.total()), (12 * 1024, ntp.ntp + ntp.nitp));
    config.mtp.enabled = true;
    config.nextlat.enabled = true;
    config.top.enabled = true;
    let (counts, flops) = of(&config);
    let block = 32 * 12 * 8 + 3 * 32 * 96;
    assert_eq!(counts.total, without.total);
    assert_eq!(counts.mtp, block + 2 * 1024 + 5 * 32);
    assert_eq!((counts.nextlat, counts.top), (14 * 1024 + 2 * 32, 256 * 32));
    let attention = 4.0 * 8.0 * 12.0 * 10.0 / 4.0;
    assert_eq!(flops.mtp, 6.0 * (block + 2 * 1024 + 256 * 32) as f64 + attention);
    assert_eq!(flops.nextlat, 6.0 * f64::from(14 * 1024 + 256 * 32));
    assert_eq!(flops.top, 6.0 * f64::from(256 * 32));
    assert_eq!(flops.total(), ntp.total() + flops.mtp + flops.nextlat + flops.top);
    config.mtp.head = MtpHead::Parallel;
    let (parallel, flops) = of(&config);
    assert_eq!(parallel.mtp, block + 3 * 32);
    assert_eq!(flops.mtp, 6.0 * (block + 256 * 32) as f64 + attention);
}
