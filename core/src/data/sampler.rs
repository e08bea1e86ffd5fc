//! The order of training windows: every epoch has each window once, in an order of its own.

/// The order of training windows, as a function of their number in the run.
/// An epoch divides the stream into windows of `context_length + 1` tokens. Each window starts at the last token of the
/// previous one, so this token is a label in one window and the first input of the next. Fewer than `context_length`
/// tokens are left over; every epoch divides them anew between the beginning and the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSampler {
    seed: u64,
    context_length: usize,
    windows: usize,
    /// Tokens left over by a division of the stream.
    slack: usize,
}

impl WindowSampler {
    /// The order for a stream of `tokens`.
    ///
    /// # Panics
    /// If the stream has no `context_length + 1` tokens.
    pub fn new(seed: u64, tokens: usize, context_length: usize) -> Self {
        assert!(tokens > context_length, "{tokens} tokens hold no window of {context_length} + 1");
        let windows = (tokens - 1) / context_length;
        let slack = tokens - 1 - windows * context_length;
        Self { seed, context_length, windows, slack }
    }

    /// Windows of an epoch.
    pub fn windows_per_epoch(&self) -> usize {
        self.windows
    }

    /// Position in the stream of the first token of the run's window `index`.
    pub fn start(&self, index: u64) -> usize {
        let (epoch, index) = (index / self.windows as u64, index % self.windows as u64);
        let key = mix(mix(self.seed) ^ epoch);
        let offset = mix(key) % (self.slack as u64 + 1);
        offset as usize + permute(key, index, self.windows as u64) as usize * self.context_length
    }
}

/// Image of `index` under a permutation of `0..len` chosen by `key`: a Feistel network over the least even number of
/// bits that holds `len`, applied again until the result is below `len` (Black & Rogaway 2002, "Ciphers with arbitrary
/// finite domains").
pub(super) fn permute(key: u64, index: u64, len: u64) -> u64 {
    const ROUNDS: u64 = 8;
    let half = (64 - (len - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1 << half) - 1;
    let mut value = index;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (mix(key ^ (round << 56) ^ right) & mask));
        }
        value = left << half | right;
        if value < len {
            return value;
        }
    }
}

/// The finaliser of splitmix64: every bit of the input affects every bit of the output.
pub(super) fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(sampler: &WindowSampler, epoch: usize) -> Vec<usize> {
        let windows = sampler.windows_per_epoch();
        (epoch * windows..(epoch + 1) * windows).map(|i| sampler.start(i as u64)).collect()
    }

    #[test]
    fn an_epoch_has_each_window_once_at_every_size() {
        for tokens in (9..200).chain([4096, 8193, 100_000]) {
            let sampler = WindowSampler::new(3, tokens, 8);
            for number in [0, 1, 7] {
                let mut starts = epoch(&sampler, number);
                starts.sort_unstable();
                assert_eq!(starts.len(), (tokens - 1) / 8);
                assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 8), "{tokens}");
                assert!(starts[0] < 8 && starts.last().unwrap() + 9 <= tokens, "{tokens}");
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_their_own_order_and_offset() {
        let sampler = WindowSampler::new(1, 64 * 500 + 40, 64);
        let first = epoch(&sampler, 0);
        assert_ne!(first, epoch(&sampler, 1));
        assert_ne!(first, epoch(&WindowSampler::new(2, 64 * 500 + 40, 64), 0));
        assert_eq!(first, epoch(&sampler, 0));
        let mut offsets: Vec<usize> = (0..50).map(|e| sampler.start(e * 500) % 64).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert!(offsets.len() > 20);
    }

    #[test]
    fn the_order_is_well_mixed() {
        // Fixed points and steps by one of a random permutation are about one each; the mean of
        // the first half of a random order is near the middle.
        let sampler = WindowSampler::new(5, 10_001, 1);
        let starts = epoch(&sampler, 2);
        let fixed = starts.iter().enumerate().filter(|&(i, &start)| i == start).count();
        let steps = starts.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!(fixed < 10 && steps < 10, "{fixed} fixed points, {steps} steps by one");
        let mean = starts[..5000].iter().sum::<usize>() as f64 / 5000.0;
        assert!((mean - 5000.0).abs() < 200.0, "{mean}");
    }
}
