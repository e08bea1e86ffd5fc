//! Chooses the variant of an op for an adapter: the forced one, else the fastest in measurements, else the first that
//! was made for such adapters.

use thiserror::Error;

use super::{BASELINE, Capabilities, MAX_WORKGROUPS, Suits, Variant};

/// The facts of an adapter that decide.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Capabilities of the adapter.
    pub capabilities: Capabilities,
    /// Whether it is a software renderer.
    pub software: bool,
    /// Name of the variant that is forced in every op that has it.
    pub forced: Option<String>,
}

/// A forced variant that can't be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ForcedError {
    /// No op has the variant.
    #[error("no op of the plan has a way `{wanted}`; there are: {found}")]
    Unknown {
        /// Its name.
        wanted: String,
        /// The variants of all ops.
        found: String,
    },
    /// An op has the variant, but the adapter does not meet its needs.
    #[error("the way `{wanted}` of {op} can't be taken: {missing}; there are: {found}")]
    Unusable {
        /// Its name.
        wanted: String,
        /// The op.
        op: &'static str,
        /// The need that the adapter does not meet.
        missing: String,
        /// The variants of this op that can run on the adapter.
        found: String,
    },
}

impl Selector {
    /// The need of a variant that the adapter does not meet, in words; none if the variant can run.
    pub fn missing(&self, variant: &Variant) -> Option<String> {
        let fits = |grid: [u32; 3]| grid.iter().all(|&n| n as usize <= MAX_WORKGROUPS);
        if !variant.dispatches.iter().all(|dispatch| fits(dispatch.grid)) {
            return Some(format!("more than {MAX_WORKGROUPS} workgroups in a row"));
        }
        variant.needs.missing(&self.capabilities)
    }

    /// The variants of an op that can run on the adapter. The baseline always can, and comes first.
    pub fn usable(&self, mut variants: Vec<Variant>) -> Vec<Variant> {
        variants.retain(|it| it.name == BASELINE || self.missing(it).is_none());
        variants
    }

    /// The usable variants that are worth measuring on this adapter. On a software adapter, variants made for GPUs are
    /// never the fastest, and take the longest to measure. Variants made for software hold more values in a thread than
    /// a GPU has registers for.
    pub fn candidates(&self, mut usable: Vec<Variant>) -> Vec<Variant> {
        usable.retain(|it| match it.suits {
            Suits::Comparison => false,
            Suits::All => true,
            Suits::Gpus => !self.software,
            Suits::Software => self.software,
        });
        usable
    }

    /// The variant that runs: the forced one, else the fastest in measurements, else the first that was made for such
    /// adapters and has not failed in any measured class.
    pub fn select(
        &self,
        mut usable: Vec<Variant>,
        fastest: Option<&str>,
        has_failed: impl Fn(&str) -> bool,
    ) -> Variant {
        let named = |name: &str| usable.iter().position(|it| it.name == name);
        let forced = self.forced.as_deref().and_then(named);
        let index = forced.or_else(|| match fastest {
            Some(name) => named(name),
            None => {
                let kind = if self.software { Suits::Software } else { Suits::Gpus };
                usable.iter().position(|it| it.suits == kind && !has_failed(it.name))
            }
        });
        usable.swap_remove(index.unwrap_or(0))
    }

    /// Checks a forced variant: at least one op must have it, and it must run on the adapter in every op that has it.
    ///
    /// `ops` are the names and variants of a plan's ops.
    ///
    /// # Errors
    /// [`ForcedError`] lists the alternatives.
    pub fn check_forced(
        &self,
        ops: impl Iterator<Item = (&'static str, Vec<Variant>)>,
    ) -> Result<(), ForcedError> {
        let Some(wanted) = &self.forced else { return Ok(()) };
        let mut found = Vec::new();
        let mut is_known = false;
        for (op, variants) in ops {
            if let Some(variant) = variants.iter().find(|it| it.name == wanted) {
                is_known = true;
                if *wanted != BASELINE
                    && let Some(missing) = self.missing(variant)
                {
                    return Err(ForcedError::Unusable {
                        wanted: wanted.clone(),
                        op,
                        missing,
                        found: names(self.usable(variants).iter().map(|it| it.name)),
                    });
                }
            }
            found.extend(variants.iter().map(|it| it.name));
        }
        match is_known {
            true => Ok(()),
            false => Err(ForcedError::Unknown {
                wanted: wanted.clone(),
                found: names(found.into_iter()),
            }),
        }
    }
}

/// Each name once; the first variants of all ops come first.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut once: Vec<&str> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Needs;

    fn variant(name: &'static str, suits: Suits, needs: Needs) -> Variant {
        Variant { name, suits, needs, dispatches: Vec::new() }
    }

    /// A baseline, a variant for each kind of adapter, and one with matrix units.
    fn variants() -> Vec<Variant> {
        vec![
            variant(BASELINE, Suits::All, Needs::default()),
            variant("units", Suits::Gpus, Needs::matrices(0)),
            variant("tile", Suits::Gpus, Needs::default()),
            variant("tall", Suits::Software, Needs::default()),
            variant("plain", Suits::Comparison, Needs::default()),
        ]
    }

    fn selector(software: bool, forced: Option<&str>) -> Selector {
        let forced = forced.map(str::to_owned);
        Selector { capabilities: Capabilities::PROMISED, software, forced }
    }

    fn taken(selector: &Selector, fastest: Option<&str>, failed: &str) -> &'static str {
        selector.select(selector.usable(variants()), fastest, |name| name == failed).name
    }

    #[test]
    fn a_measurement_beats_preference_and_force_beats_both() {
        assert_eq!(taken(&selector(false, None), None, ""), "tile");
        assert_eq!(taken(&selector(true, None), None, ""), "tall");
        assert_eq!(taken(&selector(false, None), None, "tile"), BASELINE);
        assert_eq!(taken(&selector(false, None), Some("tall"), ""), "tall");
        assert_eq!(taken(&selector(false, Some("plain")), Some("tall"), ""), "plain");
    }

    #[test]
    fn what_is_made_for_others_is_not_measured() {
        let names = |software| {
            let selector = selector(software, None);
            let candidates = selector.candidates(selector.usable(variants()));
            candidates.iter().map(|it| it.name).collect::<Vec<_>>()
        };
        assert_eq!(names(false), [BASELINE, "tile"]);
        assert_eq!(names(true), [BASELINE, "tall"]);
    }

    #[test]
    fn a_forced_way_that_is_not_there_is_an_error_that_lists_what_is() {
        let checked = |forced| {
            let ops = [("add", vec![variants().remove(0)]), ("matmul", variants())];
            let checked = selector(false, Some(forced)).check_forced(ops.into_iter());
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(checked("tile"), Ok(()));
        let unknown =
            "no op of the plan has a way `tle`; there are: baseline, units, tile, tall, plain";
        assert_eq!(checked("tle"), Err(unknown.to_owned()));
        let unusable = "the way `units` of matmul can't be taken: the adapter has no matrix units for \
                        halves with sums in f32; there are: baseline, tile, tall, plain";
        assert_eq!(checked("units"), Err(unusable.to_owned()));
    }
}
