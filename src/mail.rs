//! How mails reach people: a message becomes bytes, waits in the outbox, and
//! leaves it.
//!
//! What a mail says is decided by those who write it; here nothing is known of
//! teams or budgets. Two things always hold: the same [`Message`] gives the
//! same bytes, `Message-ID` included; and a mail that was put into the outbox
//! is in one of `pending`, `sent` and `failed` at every moment, so that it can
//! arrive twice (the server took it and the program was killed), never be lost.

mod deliver;
mod letter;
mod message;
mod operators;
mod outbox;
mod server;
mod tries;

pub use deliver::{Came, Delivered, Line, Options, deliver};
pub use letter::Letter;
pub use message::{Attachment, Image, MailError, Message, Sealed};
pub use operators::{FailedNight, tell_operators};
pub use outbox::{Failure, Held, Outbox, Place};
pub use server::{Connection, Server, ServerError};
