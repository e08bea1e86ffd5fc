//! The learning rate by step.

use crate::config::{Schedule, TrainConfig};

/// Learning rate of step `step` (from 0): `peak (s + 1) / warmup_steps` in warm-up, then according to the schedule.
/// Stable-decay schedules fall in the last `decay_ratio` of the steps: linearly as
/// `peak (steps - s) / decay_steps`, or exponentially to `min_learning_rate_ratio` of the peak.
pub fn learning_rate(train: &TrainConfig, step: usize) -> f64 {
    let peak = train.learning_rate;
    if step < train.warmup_steps {
        return peak * (step + 1) as f64 / train.warmup_steps as f64;
    }
    let decay_steps = (train.decay_ratio * train.steps as f64).round();
    let left = train.steps.saturating_sub(step) as f64;
    match train.schedule {
        Schedule::Constant => peak,
        Schedule::Wsd if left < decay_steps => peak * left / decay_steps,
        Schedule::WsdExp if left < decay_steps => {
            peak * train.min_learning_rate_ratio.powf(1.0 - left / decay_steps)
        }
        Schedule::Wsd | Schedule::WsdExp => peak,
        Schedule::Cosine => {
            let span = train.steps.saturating_sub(train.warmup_steps).max(1) as f64;
            let progress = ((step - train.warmup_steps) as f64 / span).min(1.0);
            let low = train.min_learning_rate_ratio * peak;
            low + (peak - low) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(schedule: Schedule) -> TrainConfig {
        TrainConfig {
            steps: 100,
            warmup_steps: 10,
            decay_ratio: 0.2,
            learning_rate: 1.0,
            min_learning_rate_ratio: 0.1,
            schedule,
            ..TrainConfig::default()
        }
    }

    #[test]
    fn warm_up_reaches_the_peak_at_its_last_step() {
        for schedule in [Schedule::Wsd, Schedule::WsdExp, Schedule::Cosine, Schedule::Constant] {
            assert_eq!(learning_rate(&train(schedule), 0), 0.1);
            assert_eq!(learning_rate(&train(schedule), 9), 1.0);
            assert_eq!(learning_rate(&train(schedule), 10), 1.0);
        }
    }

    #[test]
    fn stable_then_decay() {
        for step in 10..=80 {
            assert_eq!(learning_rate(&train(Schedule::Wsd), step), 1.0);
            assert_eq!(learning_rate(&train(Schedule::WsdExp), step), 1.0);
        }
        assert!((learning_rate(&train(Schedule::Wsd), 90) - 0.5).abs() < 1e-12);
        assert!((learning_rate(&train(Schedule::Wsd), 99) - 0.05).abs() < 1e-12);
        let halfway = learning_rate(&train(Schedule::WsdExp), 90);
        assert!((halfway - 0.1f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn cosine_falls_to_its_floor() {
        assert!((learning_rate(&train(Schedule::Cosine), 55) - 0.55).abs() < 1e-12);
        assert!((learning_rate(&train(Schedule::Cosine), 100) - 0.1).abs() < 1e-12);
    }
}
