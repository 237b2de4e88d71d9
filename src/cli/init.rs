//! `spendbook init`: a config, the price book, and ways to run it every night.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Outcome, Session, listing};
use crate::{
    bundled::{self, PRICE_BOOK, Unpacked},
    config::templates::{self, Template},
};

/// Writes what a new book needs. What is there already stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook init                     in this directory
  spendbook init /srv/spendbook --template production
                                     more teams, limits and mail, each explained")]
pub(super) struct Arguments {
    /// Where to; it is made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// How much to begin with: `basic` is short, `production` shows everything
    #[arg(long, default_value = Template::Basic.name(), value_parser = template)]
    template: Template,
}

fn template(text: &str) -> Result<Template, String> {
    let found = Template::ALL.into_iter().find(|template| template.name() == text);
    found.ok_or_else(|| format!("expected {}", Template::ALL.map(|it| format!("`{}`", it.name())).join(" or ")))
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let dir = &arguments.dir;
    if dir.exists() && !dir.is_dir() {
        return Err(anyhow::anyhow!("`{}` is a file: name a directory, `spendbook init DIR`", dir.display()).into());
    }
    let texts = templates::files(arguments.template).iter().map(|&(name, text)| (name, text.as_bytes()));
    let done = bundled::unpack(texts.chain(PRICE_BOOK.iter().copied()), dir)?;
    if !session.global.quiet {
        listing::print(&report(dir, &done))?;
    }
    Ok(Outcome::Done)
}

/// What was written, by what it is for, and what to do with it.
fn report(dir: &Path, done: &Unpacked) -> String {
    let mut text = String::new();
    if done.written.is_empty() {
        text.push_str(&format!("nothing to write: all {} files are in `{}`\n", done.kept.len(), dir.display()));
    } else {
        text.push_str(&format!("wrote to `{}`:\n", dir.display()));
        let width = done.written.iter().map(|name| name.len()).max().unwrap_or(0);
        for name in &done.written {
            text.push_str(&format!("  {name:<width$}  {}\n", purpose(name)));
        }
    }
    if !done.kept.is_empty() && !done.written.is_empty() {
        text.push_str("left as they were:\n");
        for name in &done.kept {
            text.push_str(&format!("  {name}\n"));
        }
    }
    let at = |name: &str| dir.join(name).display().to_string().trim_start_matches("./").to_owned();
    let config = at(templates::CONFIG);
    let option = if dir == Path::new(".") { String::new() } else { format!("--config {config} ") };
    text.push_str(&format!(
        "\nnext:\n  \
         1. say in `{config}` where the logs are, and whose the keys are\n  \
         2. spendbook {option}doctor\n  \
         3. spendbook {option}ingest\n  \
         4. let it run every night: see `{}`\n",
        at("deploy")
    ));
    text
}

fn purpose(name: &str) -> &'static str {
    match name {
        templates::CONFIG => "sources, teams, keys, budgets",
        "pricing/README.md" => "how to change a price",
        "pricing/groq.csv" => "Groq's prices since 2024",
        "pricing/openai.csv" => "OpenAI's prices",
        "pricing/anthropic.csv" => "Anthropic's prices",
        "pricing/NOTICE" => "whose price data that is",
        "pricing/fallback.csv" => "what unknown models are taken to cost",
        "pricing/aliases.csv" => "other names of models",
        "pricing/pins.csv" => "digests of closed months",
        "deploy/spendbook.cron" => "every night, with cron",
        "deploy/spendbook.service" | "deploy/spendbook.timer" => "with systemd",
        "deploy/kubernetes-cronjob.yaml" => "with Kubernetes",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_says_what_it_is_for() {
        for template in Template::ALL {
            let names = templates::files(template).iter().map(|(name, _)| *name);
            for name in names.chain(PRICE_BOOK.iter().map(|(name, _)| *name)) {
                assert_ne!(purpose(name), "", "{name}");
            }
        }
    }
}
