//! Progress of long work: a bar on a terminal, silence elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

use crate::{charges, ingest::Watch, night, time::Day};

/// Shows how much has been read.
#[derive(Debug)]
pub(super) struct Reading {
    bar: ProgressBar,
}

impl Reading {
    pub(super) fn new(is_interactive: bool) -> Self {
        let bar = if is_interactive { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {bytes} read, {bytes_per_sec}  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar }
    }
}

impl Watch for Reading {
    fn read(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn file(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far a night is, stage by stage.
#[derive(Debug)]
pub(super) struct Nightly {
    pub(super) is_interactive: bool,
}

impl night::Watch for Nightly {
    fn reading(&self) -> Box<dyn Watch> {
        Box::new(Reading::new(self.is_interactive))
    }

    fn pricing(&self) -> Box<dyn charges::Watch> {
        Box::new(Pricing::new(self.is_interactive))
    }
}

/// Shows which day is priced, and how many requests were.
#[derive(Debug)]
pub(super) struct Pricing {
    bar: ProgressBar,
}

impl Pricing {
    pub(super) fn new(is_interactive: bool) -> Self {
        let bar = if is_interactive { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {human_pos} requests priced, {per_sec}  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar }
    }
}

impl charges::Watch for Pricing {
    fn rows(&self, count: u64) {
        self.bar.inc(count);
    }

    fn day(&self, day: Day) {
        self.bar.set_message(day.to_string());
    }
}

impl Drop for Pricing {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
