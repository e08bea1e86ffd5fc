//! Conversion of text labels to class ids.

use std::collections::BTreeMap;

use crate::Error;
use crate::error::not_empty;

/// The classes of a labelled set, and the class of each item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    classes: Vec<String>,
    ids: Vec<usize>,
}

impl Labels {
    /// Numbers the distinct labels in sorted order (by code points), as scikit-learn's
    /// `LabelEncoder` does.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::OneClass`].
    pub fn new<T: AsRef<str>>(labels: &[T]) -> Result<Self, Error> {
        not_empty(labels, "labels")?;
        let mut ids: BTreeMap<&str, usize> = labels.iter().map(|it| (it.as_ref(), 0)).collect();
        if ids.len() == 1 {
            return Err(Error::OneClass { class: labels[0].as_ref().into(), count: labels.len() });
        }
        for (id, place) in ids.values_mut().enumerate() {
            *place = id;
        }
        Ok(Self {
            classes: ids.keys().map(|&class| class.to_owned()).collect(),
            ids: labels.iter().map(|label| ids[label.as_ref()]).collect(),
        })
    }

    /// The classes, sorted; a class's id is its index.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class id of each item.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// How many items each class has, by class id.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &id in &self.ids {
            counts[id] += 1;
        }
        counts
    }

    /// The classes with a single item, sorted. Such an item can't be in both train and test: in train it is never
    /// tested, in test never predicted. The caller decides whether to drop it.
    pub fn singletons(&self) -> Vec<&str> {
        let once = self.classes.iter().zip(self.counts()).filter(|&(_, count)| count == 1);
        once.map(|(class, _)| class.as_str()).collect()
    }
}
