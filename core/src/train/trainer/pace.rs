//! How long a step takes, by when its results are seen to arrive.

use web_time::Instant;

/// When steps arrived.
///
/// Several steps may be under way, and the host looks for what arrived only now and then; so a step's time
/// is known only if the host was about as the step before it ended, and as it ended itself.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when the next step to arrive has run: the one before arrived, or nothing was under way.
    since: Option<Instant>,
    /// Whether other results arrived since the host's last call: it will be busy with them.
    interrupted: bool,
    /// Steps up to this one may have ended while the host was busy.
    unsure: usize,
}

impl Pace {
    /// The host calls again, with so many steps submitted by then.
    pub fn call(&mut self, submitted: usize) {
        if std::mem::take(&mut self.interrupted) {
            self.unsure = submitted;
        }
    }

    /// A step is submitted while nothing is under way.
    pub fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Something else than a step arrived.
    pub fn interrupt(&mut self) {
        self.since = None;
        self.interrupted = true;
    }

    /// So many steps arrived at one time, the last of them step `last` (counted from 1): seconds that each
    /// took, where they are known.
    pub fn arrive(&mut self, now: Instant, last: usize, count: usize) -> Option<f64> {
        if count == 0 || self.interrupted {
            return None;
        }
        let since = self.since.replace(now)?;
        (last - count >= self.unsure).then(|| (now - since).as_secs_f64() / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// So many tenths of a second after `begin`.
    fn at(begin: Instant, tenths: u64) -> Instant {
        begin + Duration::from_millis(100 * tenths)
    }

    #[test]
    fn steps_one_after_the_other_take_the_time_between_them() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        for step in 1..4 {
            pace.call(step - 1);
            pace.begin(at(t, 10 * step as u64));
            assert_eq!(pace.arrive(at(t, 10 * step as u64 + 5), step, 1), Some(0.5));
        }
        // Now two at a time, and never idle.
        pace.begin(at(t, 50));
        assert_eq!(pace.arrive(at(t, 60), 5, 2), Some(0.5));
        assert_eq!(pace.arrive(at(t, 60), 5, 0), None);
        assert_eq!(pace.arrive(at(t, 63), 6, 1), Some(0.3));
    }

    #[test]
    fn steps_under_way_while_a_checkpoint_is_written_have_no_known_time() {
        // Steps of half a second, two of them behind the checkpoint as it arrives; a third is submitted in
        // the same call. Writing it takes 0.7 s.
        let (mut pace, t) = (Pace::default(), Instant::now());
        pace.begin(t);
        assert_eq!(pace.arrive(at(t, 5), 1, 1), Some(0.5));
        pace.interrupt();
        // Step 2 ended at 1.0 s and is seen at 1.2; what is left of step 3 is no step's time.
        pace.call(4);
        assert_eq!(pace.arrive(at(t, 12), 2, 1), None);
        assert_eq!(pace.arrive(at(t, 15), 3, 1), None);
        assert_eq!(pace.arrive(at(t, 20), 4, 1), None);
        assert_eq!(pace.arrive(at(t, 25), 5, 1), Some(0.5));
    }

    #[test]
    fn a_step_that_arrives_together_with_other_work_has_no_known_time() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        pace.begin(t);
        pace.interrupt();
        assert_eq!(pace.arrive(at(t, 5), 1, 1), None);
        // Submitted once the host is back, with nothing under way.
        pace.call(1);
        pace.begin(at(t, 20));
        assert_eq!(pace.arrive(at(t, 25), 2, 1), Some(0.5));
    }
}
