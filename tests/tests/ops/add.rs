use nitp_core::ops::add::Add;
use nitp_tests::op_case::OpCase;

#[test]
fn adds_at_lengths_no_workgroup_divides() {
    for len in [1, 63, 257, 100_003] {
        let mut case = OpCase::new(len as u64);
        let x = case.random("x", &[len]);
        let y = case.random("y", &[len]);
        case.check(&[&Add { x, y }], &[y]);
    }
}

#[test]
fn touches_only_its_views() {
    let mut case = OpCase::new(1);
    let x = case.random("x", &[300]);
    let y = case.random("y", &[300]);
    case.check(&[&Add { x: x.slice(64, 65), y: y.slice(128, 65) }], &[y]);
}
