use nitp_core::ops::copy::Copy;
use nitp_tests::op_case::OpCase;

#[test]
fn copies_at_lengths_no_workgroup_divides() {
    for halves in [&[][..], &["x"], &["y"], &["x", "y"]] {
        for len in [1, 63, 257, 100_003] {
            let mut case = OpCase::with_halves(len as u64, halves);
            let x = case.random("x", &[len]);
            let y = case.output("y", &[len]);
            case.check(&[&Copy { x, y }], &[y]);
        }
    }
}
