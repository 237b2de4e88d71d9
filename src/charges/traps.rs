//! What polars does that would make an amount wrong without a word. Each test
//! shows that a trap is still there, and so that its guard is still needed; one
//! that fails after an upgrade says that a guard may go. As-of joins, which
//! trust an order that they do not check, are not compiled in.

use polars::prelude::*;

fn one(column: Column, expr: Expr) -> AnyValue<'static> {
    let frame = DataFrame::new_infer_height(vec![column]).unwrap();
    let result = frame.lazy().select([expr.alias("it")]).collect().unwrap();
    result.column("it").unwrap().get(0).unwrap().into_static()
}

fn decimals(pico: &[Option<i128>]) -> Column {
    let values: Int128Chunked = pico.iter().copied().collect_ca("x".into());
    values.into_decimal_unchecked(38, 12).into_column()
}

/// Guard: [`super::totals`] proves sums small before they are made.
#[test]
fn sums_and_products_of_integers_wrap_around() {
    let half = 1_i64 << 62;
    let column = || Column::new("x".into(), [half, half]);
    assert_eq!(one(column(), col("x").sum()), AnyValue::Int64(i64::MIN));
    assert_eq!(one(column(), col("x") * lit(2_i64)), AnyValue::Int64(i64::MIN));
}

/// Guard: [`super::totals`] proves sums small before they are made.
#[test]
fn sums_of_decimals_go_beyond_their_precision() {
    let much = 6 * 10_i128.pow(37);
    let sum = one(decimals(&[Some(much), Some(much)]), col("x").sum());
    let AnyValue::Decimal(value, 38, 12) = sum else { panic!("{sum:?}") };
    assert_eq!(value, 12 * 10_i128.pow(37), "39 digits");
}

/// Guard: line items are made in integers, by [`super::price`].
#[test]
fn a_decimal_divided_by_a_whole_number_loses_its_digits() {
    let price = Column::new("x".into(), ["0.59"]).cast(&DataType::Decimal(38, 2)).unwrap();
    let per_token = one(price, col("x") / lit(1_000_000_i64));
    let AnyValue::Decimal(value, _, _) = per_token else { panic!("{per_token:?}") };
    assert_eq!(value, 0);
}

/// Guard: prices are read by [`crate::pricing::read`], never by polars.
#[test]
fn a_cast_from_text_makes_null_or_zero_of_what_it_cannot_hold() {
    let cast = |text: &str| {
        let column = Column::new("x".into(), [text]).cast(&DataType::Decimal(38, 12)).unwrap();
        column.get(0).unwrap().into_static()
    };
    assert_eq!(cast("abc"), AnyValue::Null);
    let AnyValue::Decimal(value, _, _) = cast("1e-13") else { panic!("{:?}", cast("1e-13")) };
    assert_eq!(value, 0);
}

/// Guard: [`super::rollup`] adds up in integers, and nothing stays NULL there.
#[test]
fn a_sum_of_nothing_is_zero() {
    let sum = one(decimals(&[None, None]), col("x").sum());
    let AnyValue::Decimal(value, _, _) = sum else { panic!("{sum:?}") };
    assert_eq!(value, 0);
}
