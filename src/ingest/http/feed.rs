//! The windows of a run, a few of which are fetched at the same time, each by a
//! thread of its own. Their pages come as they are ready, of whichever window, and
//! only so many wait to be parsed: that bounds the memory, however many windows
//! there are, and however fast a server is.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use super::{
    Window,
    pages::{Ending, Page, Pull},
};

/// Windows that are fetched at the same time.
const AT_ONCE: usize = 4;
/// Pages that wait to be parsed, beside one that each window may hold.
const WAITING: usize = 2;

/// What a window says.
#[derive(Debug)]
pub(in super::super) enum Message {
    Page(Page),
    End(Ending),
}

/// All windows of a run.
#[derive(Debug)]
pub(in super::super) struct Feed {
    /// Those that did not begin yet, by the number of their task.
    later: VecDeque<(usize, Window)>,
    under_way: usize,
    sender: SyncSender<(usize, Message)>,
    messages: Receiver<(usize, Message)>,
}

impl Feed {
    pub(in super::super) fn new(windows: impl Iterator<Item = (usize, Window)>) -> Self {
        let (sender, messages) = sync_channel(WAITING);
        Self { later: windows.collect(), under_way: 0, sender, messages }
    }

    /// Lets windows begin, as many as there is room for.
    pub(in super::super) fn begin(&mut self) {
        while self.under_way < AT_ONCE
            && let Some((task, window)) = self.later.pop_front()
        {
            self.under_way += 1;
            let words = Words { task, sender: self.sender.clone(), is_over: false };
            thread::spawn(move || words.tell(&window));
        }
    }

    /// What any window says next; `None` after the end of the last.
    pub(in super::super) fn next(&mut self) -> Option<(usize, Message)> {
        self.begin();
        if self.under_way == 0 {
            return None;
        }
        // There is always a sender: this one.
        let said = self.messages.recv().ok()?;
        self.under_way -= usize::from(matches!(said, (_, Message::End(_))));
        Some(said)
    }
}

/// The way from the thread of a window; it never ends without an [`Ending`].
struct Words {
    task: usize,
    sender: SyncSender<(usize, Message)>,
    is_over: bool,
}

impl Words {
    fn tell(mut self, window: &Window) {
        let hand_on = |page| self.sender.send((self.task, Message::Page(page))).is_ok();
        let ending = Pull::new(&window.endpoint, &hand_on).window(window.day);
        self.end(ending);
    }

    fn end(&mut self, ending: Ending) {
        self.is_over = true;
        // Nobody listens where the run has failed.
        drop(self.sender.send((self.task, Message::End(ending))));
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        if !self.is_over {
            let failure = Some("ended without a word, please report this".to_owned());
            self.end(Ending { failure, ..Ending::default() });
        }
    }
}
