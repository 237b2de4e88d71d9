//! Dates and instants that SQL compares with something else.
//!
//! `date >= 2026-06-01` without quotes is a comparison with the number 2019,
//! which the engine answers, wrongly: it is refused before anything is read.
//! A text that the engine cannot read as a date or an instant is refused by
//! the engine itself, and found here, to say what to write.
//!
//! Only columns that are dates or instants in every table that can be meant
//! are judged: a name that the SQL itself gives to something is not.

use std::{collections::HashSet, ops::ControlFlow};

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use sqlparser::{
    ast::{BinaryOperator, Cte, Expr, ObjectName, Query, Select, SelectItem, Spanned, TableAlias, TableFactor},
    ast::{UnaryOperator, Value, Visit, Visitor},
    dialect::GenericDialect,
    parser::{Parser, ParserOptions},
};

use crate::{
    record::ColumnType,
    report::tables::{DATE, Table},
    time::{Day, Instant},
};

/// A value that no date or instant can be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub detail: String,
    /// From 1, in characters.
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

/// The first comparison of a date or an instant with a number.
pub(super) fn compared_with_number(sql: &str, tables: &[&Table]) -> Option<Wrong> {
    first(sql, tables, |column, value| {
        is_number(value).then(|| {
            let Compared { name, is_day } = column;
            let what = if *is_day { "a date" } else { "an instant" };
            let number = value.to_string().replace([' ', '(', ')'], "");
            let example = meant(&number, *is_day).unwrap_or_else(|| format!("such as {}", example(*is_day)));
            format!("`{name}` is {what}, and is compared with a number: write {what} in quotes, {example}")
        })
    })
}

/// The first comparison with a text that is no date or instant to the engine.
pub(super) fn compared_with_text(sql: &str, tables: &[&Table]) -> Option<Wrong> {
    first(sql, tables, |column, value| {
        let Expr::Value(value) = value else { return None };
        let (Value::SingleQuotedString(text) | Value::DoubleQuotedString(text)) = &value.value else { return None };
        let is_read = Day::parse(text).is_some()
            || ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
                .iter()
                .any(|form| NaiveDateTime::parse_from_str(text, form).is_ok());
        (!is_read).then(|| {
            let Compared { name, is_day } = column;
            let what = if *is_day { "a date" } else { "an instant" };
            let example =
                meant(text, *is_day).unwrap_or_else(|| format!("one that exists, such as {}", example(*is_day)));
            format!("`{name}` is {what}, and `{text}` cannot be read as one: expected {example}")
        })
    })
}

/// How to write what was meant, where that is clear.
fn meant(text: &str, is_day: bool) -> Option<String> {
    let instant = Instant::parse(text, Tz::UTC).filter(|instant| instant.is_sane());
    if let Some(day) = day(text).or(instant.map(Instant::day).filter(|_| is_day)) {
        return Some(format!("`'{day}'`"));
    }
    let text = instant?.to_string().replace('T', " ");
    Some(format!("`'{}'`, in UTC and without `Z`", text.trim_end_matches('Z')))
}

/// What can be compared.
const fn example(is_day: bool) -> &'static str {
    if is_day { "`'2026-06-01'`" } else { "`'2026-06-01 06:00:00'`, in UTC and without `Z`" }
}

/// `2026-6-1` and `20260601` are days as well.
fn day(text: &str) -> Option<Day> {
    let parts: Vec<&str> = match text.len() {
        8 if text.bytes().all(|byte| byte.is_ascii_digit()) => vec![&text[..4], &text[4..6], &text[6..]],
        _ => text.split('-').collect(),
    };
    let [year, month, day] = parts[..] else { return None };
    Day::parse(&format!("{year:0>4}-{month:0>2}-{day:0>2}")).filter(|day| day.start().is_sane())
}

/// Whether it is a number or arithmetic of numbers.
fn is_number(value: &Expr) -> bool {
    match value {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::Nested(inside) => is_number(inside),
        Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr } => is_number(expr),
        Expr::BinaryOp { left, op, right } => {
            use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
            matches!(op, Plus | Minus | Multiply | Divide | Modulo) && is_number(left) && is_number(right)
        }
        _ => false,
    }
}

/// The first comparison that is told of, in the order of the SQL. SQL that
/// cannot be parsed has none: the engine says what is wrong with it.
fn first(sql: &str, tables: &[&Table], tell: impl Fn(&Compared, &Expr) -> Option<String>) -> Option<Wrong> {
    let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
    let parser = Parser::new(&GenericDialect).with_options(options).try_with_sql(sql);
    let statements = parser.ok()?.parse_statements().ok()?;
    let mut names = Names::default();
    if statements.visit(&mut names).is_break() {
        return None;
    }
    let mut finder = Finder { tables, names, tell };
    match statements.visit(&mut finder) {
        ControlFlow::Break(wrong) => Some(wrong),
        ControlFlow::Continue(()) => None,
    }
}

/// What SQL itself gives names to.
#[derive(Debug, Default)]
struct Names {
    /// Columns, and tables that are made in it.
    given: HashSet<String>,
    /// The name of a table of the book beside what it is called here.
    tables: Vec<(String, String)>,
}

impl Names {
    fn of_table(&mut self, alias: &TableAlias) {
        self.given.extend(alias.columns.iter().map(|column| column.name.value.clone()));
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for Cte { alias, .. } in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.given.insert(alias.name.value.clone());
            self.of_table(alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                // Of a column under its own name nothing has changed.
                && column_of(expr).is_none_or(|(_, name)| name != alias.value)
            {
                self.given.insert(alias.value.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                if let Some(table) = last_name(name) {
                    let called = alias.as_ref().map_or_else(|| table.clone(), |alias| alias.name.value.clone());
                    self.tables.push((called, table));
                }
                if let Some(alias) = alias {
                    self.of_table(alias);
                }
            }
            TableFactor::Derived { alias: Some(alias), .. } => {
                // Columns under the name of what is made here are not known.
                self.tables.push((alias.name.value.clone(), String::new()));
                self.of_table(alias);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn last_name(name: &ObjectName) -> Option<String> {
    Some(name.0.last()?.as_ident()?.value.clone())
}

/// The column that an expression is, with the table that it names.
fn column_of(expr: &Expr) -> Option<(Option<&str>, &str)> {
    match expr {
        Expr::Identifier(name) => Some((None, &name.value)),
        Expr::CompoundIdentifier(path) => match &path[..] {
            [table, name] => Some((Some(&table.value), &name.value)),
            _ => None,
        },
        Expr::Nested(inside) => column_of(inside),
        _ => None,
    }
}

/// A column that is compared.
#[derive(Debug)]
struct Compared {
    name: String,
    /// A day, and not an instant.
    is_day: bool,
}

struct Finder<'t, T> {
    tables: &'t [&'t Table],
    names: Names,
    tell: T,
}

impl<T: Fn(&Compared, &Expr) -> Option<String>> Finder<'_, T> {
    /// The date or instant that an expression is for certain.
    fn date(&self, expr: &Expr) -> Option<Compared> {
        let (called, name) = column_of(expr)?;
        if self.names.given.contains(name) {
            return None;
        }
        let meant = |table: &&&Table| match called {
            None => true,
            Some(called) => self.names.tables.iter().any(|(name, it)| name == called && it == table.name),
        };
        // A name that is said of what the SQL makes, too, may be of that.
        let is_made = |called: &str| {
            self.names
                .tables
                .iter()
                .any(|(name, it)| name == called && (it.is_empty() || self.names.given.contains(it)))
        };
        if called.is_some_and(is_made) {
            return None;
        }
        let kinds: Vec<Kind> = self.tables.iter().filter(meant).filter_map(|table| kind(table, name)).collect();
        let is_day = *kinds.first()? == Kind::Day;
        let is_certain = kinds.iter().all(|kind| *kind == kinds[0] && *kind != Kind::Other);
        is_certain.then(|| Compared { name: name.to_owned(), is_day })
    }

    fn look(&self, one: &Expr, other: &Expr) -> ControlFlow<Wrong> {
        for (column, value) in [(one, other), (other, one)] {
            let Some(column) = self.date(column) else { continue };
            let Some(detail) = (self.tell)(&column, value) else { continue };
            let span = value.span();
            let [line, column, end] = [span.start.line, span.start.column, span.end.column]
                .map(|count| usize::try_from(count).unwrap_or_default());
            let length = if span.start.line == span.end.line { end.saturating_sub(column) } else { 1 };
            return ControlFlow::Break(Wrong { detail, line, column, length: length.max(1) });
        }
        ControlFlow::Continue(())
    }
}

/// What a column holds, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Day,
    Instant,
    Other,
}

/// Of a table's column, if it has one of that name.
fn kind(table: &Table, name: &str) -> Option<Kind> {
    if name == DATE && table.has_files() {
        return Some(Kind::Day);
    }
    let column = table.columns().iter().find(|column| column.name == name)?;
    Some(if column.kind == ColumnType::Timestamp { Kind::Instant } else { Kind::Other })
}

impl<T: Fn(&Compared, &Expr) -> Option<String>> Visitor for Finder<'_, T> {
    type Break = Wrong;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Wrong> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq, Spaceship};
        match expr {
            Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq | Spaceship, right }
            | Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right) => self.look(left, right),
            Expr::Between { expr, low, high, .. } => {
                self.look(expr, low)?;
                self.look(expr, high)
            }
            Expr::InList { expr, list, .. } => list.iter().try_for_each(|value| self.look(expr, value)),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TABLES;

    fn told(sql: &str) -> Option<String> {
        let tables: Vec<&Table> = TABLES.iter().collect();
        compared_with_number(sql, &tables).map(|wrong| format!("{}:{} {}", wrong.column, wrong.length, wrong.detail))
    }

    #[test]
    fn a_number_is_no_date() {
        let date = "`date` is a date, and is compared with a number: write a date in quotes, `'2026-06-01'`";
        for (sql, expect) in [
            ("SELECT 1 FROM charges WHERE date >= 2026-06-01", format!("37:10 {date}")),
            ("SELECT 1 FROM charges WHERE date = 20260601", format!("36:8 {date}")),
            ("SELECT 1 FROM charges WHERE 2026-6-1 <= date", format!("29:8 {date}")),
            ("SELECT 1 FROM charges c WHERE NOT (c.date BETWEEN '2026-05-01' AND 2026-06-01)", format!("68:10 {date}")),
            ("SELECT 1 FROM usage WHERE date IN ('2026-05-01', (2026-06-01))", format!("51:10 {date}")),
            ("SELECT 1 FROM (SELECT date FROM rollup WHERE date < 2026-06-01) AS x", format!("53:10 {date}")),
        ] {
            assert_eq!(told(sql).as_deref(), Some(expect.as_str()), "{sql}");
        }
        let of_instant = told("SELECT 1 FROM usage WHERE ts < 1780300800").unwrap();
        assert!(
            of_instant.ends_with("write an instant in quotes, such as `'2026-06-01 06:00:00'`, in UTC and without `Z`"),
            "{of_instant}"
        );
    }

    #[test]
    fn what_may_be_something_else_is_left_to_the_engine() {
        for sql in [
            "SELECT 1 FROM charges WHERE date >= '2026-06-01' AND ts < '2026-06-01' AND input_tokens > 2026-06-01",
            "SELECT 1 FROM charges WHERE extract(day FROM date) = 1",
            "WITH a AS (SELECT extract(day FROM ts) AS date FROM charges) SELECT 1 FROM a WHERE date > 5",
            "WITH a(date) AS (SELECT input_tokens FROM charges) SELECT 1 FROM a WHERE date > 5",
            "SELECT 1 FROM (SELECT input_tokens AS ts FROM charges) AS c WHERE c.ts > 5",
            "WITH charges AS (SELECT 1 AS x) SELECT 1 FROM charges WHERE charges.date > 5",
            "SELECT nothing.date > 5 FROM charges",
            "not SQL at all WHERE date > 5",
            "",
        ] {
            assert_eq!(told(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_text_that_is_no_date_is_shown_as_it_has_to_be_written() {
        let tables: Vec<&Table> = TABLES.iter().collect();
        for (column, text, expect) in [
            ("date", "2026-6-1", Some("expected `'2026-06-01'`")),
            ("date", "2026-06-31", Some("expected one that exists, such as `'2026-06-01'`")),
            ("date", "2026-06-01T00:00:00Z", Some("expected `'2026-06-01'`")),
            ("ts", "2026-06-01T00:00:00Z", Some("expected `'2026-06-01 00:00:00'`, in UTC and without `Z`")),
            ("ts", "2026-06-01T02:30:00+02:00", Some("expected `'2026-06-01 00:30:00'`, in UTC and without `Z`")),
            ("ts", "soon", Some("expected one that exists, such as `'2026-06-01 06:00:00'`, in UTC and without `Z`")),
            ("ts", "2026-06-01 00:00:00.5", None),
            ("date", "2026-06-01", None),
            ("model", "2026-6-1", None),
        ] {
            let sql = format!("SELECT 1 FROM usage WHERE {column} >= '{text}'");
            let detail = compared_with_text(&sql, &tables).map(|wrong| wrong.detail);
            assert_eq!(detail.is_some(), expect.is_some(), "{detail:?}");
            assert!(
                detail.as_deref().unwrap_or_default().ends_with(expect.unwrap_or_default()),
                "{detail:?} {expect:?}"
            );
        }
    }
}
