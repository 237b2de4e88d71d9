//! Progress of long work: a bar on a terminal, silence elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

use crate::ingest::Watch;

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
