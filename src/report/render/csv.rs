//! CSV that a spreadsheet can be trusted with.
//!
//! A text that it would take for a formula gets a `'` in front, since names
//! come from logs and anybody can call a key `=HYPERLINK(…)`. Amounts and
//! counts are never touched: a number below zero stays one.

use std::borrow::Cow;

/// A text as a cell that is no formula.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, expect) in
            [("=1+1", "'=1+1"), ("@x", "'@x"), ("-x", "'-x"), ("+x", "'+x"), ("\tx", "'\tx"), ("x=1", "x=1"), ("", "")]
        {
            assert_eq!(text(cell), expect);
        }
    }
}
