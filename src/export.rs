//! What other programs read, in the forms that they know: a FOCUS dataset for
//! tools of cost management ([`focus`]), a journal for accounting ([`hledger`]), a
//! table as one file ([`table`]). Reads the book, takes no lock, and replaces files
//! outside of it in one step each. What a run replaces meanwhile is read again.
//!
//! What must hold: amounts are those of the charges, to the last digit, and what
//! is left out is counted where it is left out.

pub mod focus;
pub mod hledger;
pub mod table;
