//! The time of a step, from the arrival times of its results.

use web_time::Instant;

/// Arrival times of steps.
/// Several steps may be pending, and the host checks for results only now and then. The time of a step is therefore
/// known only if the host was idle when the previous step ended and when the step itself ended.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Start of the next step to arrive: the arrival of the previous step, or its submission if nothing was pending.
    since: Option<Instant>,
    /// Whether other results arrived since the host's last call. The host will be busy with them.
    interrupted: bool,
    /// Steps up to this one may have ended while the host was busy.
    unsure: usize,
}

impl Pace {
    /// Records a call of the host, with `submitted` steps submitted so far.
    pub fn call(&mut self, submitted: usize) {
        if std::mem::take(&mut self.interrupted) {
            self.unsure = submitted;
        }
    }

    /// Records the submission of a step while nothing is pending.
    pub fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Records the arrival of other results than a step's.
    pub fn interrupt(&mut self) {
        self.since = None;
        self.interrupted = true;
    }

    /// Records that `count` steps arrived at the same time, the last of them step `last` (counted from 1). Returns the
    /// seconds per step, if known.
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

    /// The time `tenths` tenths of a second after `begin`.
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
        // From here on two steps at a time, without idle time.
        pace.begin(at(t, 50));
        assert_eq!(pace.arrive(at(t, 60), 5, 2), Some(0.5));
        assert_eq!(pace.arrive(at(t, 60), 5, 0), None);
        assert_eq!(pace.arrive(at(t, 63), 6, 1), Some(0.3));
    }

    #[test]
    fn steps_under_way_while_a_checkpoint_is_written_have_no_known_time() {
        // Steps take half a second. Two steps are pending when the checkpoint arrives; a third is submitted in the same
        // call. Writing the checkpoint takes 0.7 s.
        let (mut pace, t) = (Pace::default(), Instant::now());
        pace.begin(t);
        assert_eq!(pace.arrive(at(t, 5), 1, 1), Some(0.5));
        pace.interrupt();
        // Step 2 ended at 1.0 s, but the host sees it at 1.2 s. The rest of step 3 is not the time of a whole step.
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
        // Submitted after the host returns, with nothing pending.
        pace.call(1);
        pace.begin(at(t, 20));
        assert_eq!(pace.arrive(at(t, 25), 2, 1), Some(0.5));
    }
}
