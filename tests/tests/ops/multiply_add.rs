use nitp_core::ops::multiply_add::MultiplyAdd;
use nitp_tests::op_case::OpCase;

#[test]
fn goes_round_at_lengths_no_workgroup_divides() {
    for (len, rounds) in [(1, 3), (63, 1), (2047, 5), (100_003, 2)] {
        let mut case = OpCase::new(len as u64);
        let x = case.random("x", &[len]);
        let y = case.output("y", &[len]);
        case.check(&[&MultiplyAdd { x, y, rounds }], &[y]);
    }
}
