//! What is said to somebody who asks what there is: the screen of a call without
//! arguments, and the examples of commands that only have others below them.
//!
//! Every other command has its examples beside its arguments. That each has
//! some, and that the program takes them, is tested here.

/// Without arguments: one screen of 24 lines.
pub(super) const WELCOME: &str = "\
Spendbook keeps the books for LLM inference. Every night it turns gateway logs
into Parquet, prices each request exactly from a dated price book, and mails
each team what it spent.

See what it does, on made-up logs and offline:
  spendbook demo

Begin a book of your own:
  spendbook init my-book       a config, the price book, ways to run it nightly
  spendbook doctor             what is well, and what to fix
  spendbook run                the night: read, price, audit, tell, mail

Ask it:
  spendbook status             budgets, forecasts, and how fresh it all is
  spendbook report html        a page to look at, without a server
  spendbook top teams          who spent the most; or models, keys, users
  spendbook audit              what broke a policy
  spendbook explain ID         one request, from log line to cents
  spendbook query --list       what there is to ask in SQL
  spendbook export views       the same in DuckDB

Every command:                 spendbook --help
One of them, with examples:    spendbook run --help
";

pub(super) const REPORT: &str = "\
Examples:
  spendbook report alerts --dry-run  what there is to tell, and to whom
  spendbook report weekly --dry-run  the weekly mails, as they would go out
  spendbook report html              a page to look at: spendbook.html";

pub(super) const PRICING: &str = "\
Examples:
  spendbook pricing check                         what is wrong or looks so
  spendbook pricing show llama-3.3-70b-versatile  what a model costs now
  spendbook pricing diff 2026-06-01 2026-07-01    what changed in between";

pub(super) const EXPORT: &str = "\
Examples:
  spendbook export views --output views.sql && duckdb -init views.sql
  spendbook export focus --month last-month
  spendbook export hledger --output llm.journal
  spendbook export csv charges --period last-month --output charges.csv
  spendbook export budget-state --output budget-state.json";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    /// Every command with its path, those that have others below them included.
    fn commands() -> Vec<(String, clap::Command)> {
        let mut all = Vec::new();
        let mut open = vec![("spendbook".to_owned(), Cli::command())];
        while let Some((path, command)) = open.pop() {
            let below = command.get_subcommands().map(|it| (format!("{path} {}", it.get_name()), it.clone()));
            open.extend(below);
            all.push((path, command));
        }
        all
    }

    /// The words of a command as a shell would take them, up to a pipe, another
    /// command, or the blanks before a description.
    fn arguments(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match (letter, quote) {
                (letter, Some(open)) if letter == open => quote = None,
                ('"' | '\'', None) => quote = Some(letter),
                (' ', None) if letters.peek().is_none_or(|&next| next == ' ') => break,
                (' ', None) => words.push(String::new()),
                (letter, _) => words.last_mut().unwrap().push(letter),
            }
        }
        assert_eq!(quote, None, "a quote is open: {line}");
        let end = words.iter().position(|word| matches!(word.as_str(), "|" | "&&" | ">" | ";"));
        words.truncate(end.unwrap_or(words.len()));
        words
    }

    /// The program's own lines in a text.
    fn own(text: &str) -> Vec<Vec<String>> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        lines.filter(|line| line.starts_with("spendbook ")).map(arguments).collect()
    }

    fn assert_taken(words: &[String], whose: &str) {
        let error = Cli::try_parse_from(words).err().filter(clap::Error::use_stderr);
        assert!(error.is_none(), "an example of `{whose}` is refused: {words:?}: {}", error.unwrap());
    }

    #[test]
    fn every_command_has_examples_that_the_program_takes() {
        let commands = commands();
        assert!(commands.len() > 25, "{}", commands.len());
        for (path, command) in commands {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = text.split_once("Examples:\n").map(|(_, after)| own(after)).unwrap_or_default();
            assert!(!examples.is_empty(), "`{path} --help` has no part that begins with `Examples:`");
            // Broken into two, an example cannot be copied.
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "more than 80 columns below `{path} --help`: {line}");
            }
            for words in &examples {
                assert_taken(words, &path);
            }
            let is_its_own = |words: &Vec<String>| words.join(" ").contains(path.trim_start_matches("spendbook "));
            assert!(examples.iter().any(is_its_own), "no example of `{path}` is one of its own");
        }
    }

    #[test]
    fn the_first_screen_is_one_and_true() {
        assert!(WELCOME.lines().count() <= 24, "{}", WELCOME.lines().count());
        assert!(WELCOME.lines().all(|line| line.chars().count() <= 80), "a line is too long");
        let commands = own(WELCOME);
        assert_eq!(commands.len(), 11);
        for words in &commands {
            assert_taken(words, "the first screen");
        }
    }

    #[test]
    fn words_are_those_of_a_shell() {
        assert_eq!(arguments("spendbook run     for cron"), ["spendbook", "run"]);
        assert_eq!(arguments("spendbook query \"a  'b'\" x && rm -r"), ["spendbook", "query", "a  'b'", "x"]);
        assert_eq!(arguments("spendbook a | jq '.b'"), ["spendbook", "a"]);
    }
}
