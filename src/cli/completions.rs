//! `spendbook completions` and `spendbook man`: what shells and `man` know of
//! the program, made from the arguments themselves.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, Outcome, listing};

/// Writes a script that completes commands and options.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook completions bash > /etc/bash_completion.d/spendbook
  spendbook completions zsh > /usr/local/share/zsh/site-functions/_spendbook
  spendbook completions fish > ~/.config/fish/completions/spendbook.fish")]
pub(super) struct Arguments {
    /// The shell that is to complete
    shell: Shell,
}

/// Writes the manual page of the program, or of every command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook man | man -l -
  spendbook man --output /usr/local/share/man/man1  a page for each command")]
pub(super) struct ManArguments {
    /// Write a page for each command into this directory, such as `/usr/local/share/man/man1`
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "spendbook", &mut text);
    listing::print(&String::from_utf8(text)?)?;
    Ok(Outcome::Done)
}

pub(super) fn man(arguments: &ManArguments) -> Result<Outcome, Failure> {
    if let Some(dir) = &arguments.output {
        let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
        written.with_context(|| format!("manual pages cannot be written to `{}`", dir.display()))?;
        return Ok(Outcome::Done);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text)?;
    listing::print(&String::from_utf8(text)?)?;
    Ok(Outcome::Done)
}
