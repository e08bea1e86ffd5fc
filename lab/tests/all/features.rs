use nitp_lab::{Error, Features};

#[test]
fn rows_are_selected_in_the_order_asked_for() {
    let dense = Features::dense(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2).expect("rows");
    assert_eq!((dense.rows(), dense.width()), (3, 2));
    let chosen = Features::dense(&[5.0, 6.0, 1.0, 2.0, 5.0, 6.0], 2);
    assert_eq!(dense.select(&[2, 0, 2]), chosen);
    let rows = || vec![vec![(1, 2.0)], vec![], vec![(0, 3.0), (4, 5.0)]];
    let sparse = Features::sparse(rows(), 5).expect("rows");
    let chosen = [2, 2, 1, 0].map(|row| rows()[row].clone());
    assert_eq!(sparse.select(&[2, 2, 1, 0]), Features::sparse(chosen, 5));
    assert_eq!((sparse.rows(), sparse.width()), (3, 5));
}

#[test]
fn what_are_no_rows_is_told_with_its_place() {
    let none = Error::Empty { what: "rows" };
    assert_eq!(Features::dense::<f32>(&[], 3), Err(none.clone()));
    assert_eq!(Features::sparse(Vec::<Vec<_>>::new(), 3), Err(none.clone()));
    let dense = Features::dense(&[1.0; 6], 3).expect("rows");
    assert_eq!(dense.select(&[]), Err(none));
    for width in [0, 4, 7] {
        assert_eq!(Features::dense(&[1.0; 6], width), Err(Error::Shape { elements: 6, width }));
    }
    let nan = Features::dense(&[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0], 3).expect_err("a NaN");
    assert_eq!(
        nan.to_string(),
        "feature 1 of row 1 is NaN; it must be a number from -1e100 to 1e100"
    );
    let infinite = Features::sparse([vec![(0, 1.0)], vec![(2, f64::INFINITY)]], 3);
    let value = f64::INFINITY;
    assert_eq!(infinite, Err(Error::Feature { row: 1, column: 2, value }));
    let large = Features::dense(&[1e100, -1.1e100], 1);
    assert_eq!(large, Err(Error::Feature { row: 1, column: 0, value: -1.1e100 }));
    for (entries, column, least) in
        [([(0, 1.0), (3, 1.0)], 3, 1), ([(1, 1.0), (1, 1.0)], 1, 2), ([(2, 1.0), (0, 1.0)], 0, 3)]
    {
        let error = Error::Column { row: 0, column, least, width: 3 };
        assert_eq!(Features::sparse([entries], 3), Err(error));
    }
}
