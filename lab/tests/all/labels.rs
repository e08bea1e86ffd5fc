use nitp_lab::Error;
use nitp_lab::labels::Labels;

#[test]
fn classes_are_numbered_in_sorted_order() {
    let labels = Labels::new(&["tide", "Boat", "öl", "boat", "tide", "oar"]).expect("labels");
    assert_eq!(labels.classes(), ["Boat", "boat", "oar", "tide", "öl"]);
    assert_eq!(labels.ids(), [3, 0, 4, 1, 3, 2]);
    assert_eq!(labels.counts(), [1, 1, 1, 2, 1]);
    assert_eq!(labels.singletons(), ["Boat", "boat", "oar", "öl"]);
}

#[test]
fn labels_that_tell_nothing_are_errors() {
    assert_eq!(Labels::new::<&str>(&[]), Err(Error::Empty { what: "labels" }));
    let one = Labels::new(&["tide"; 3]).expect_err("one class");
    assert_eq!(one.to_string(), "all 3 labels are `tide`; there must be two classes or more");
}
