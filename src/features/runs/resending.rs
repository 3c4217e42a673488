//! Saying a message once more: what the page and the API have in common.

use crate::app::Ws;
use crate::kernel::InputId;
use crate::store::{ReadExt as _, StoreError};
use crate::web::idempotency::Once;
use crate::web::session::Person;

use super::model::{Input, InputState};
use super::queries::{between, sessions, versions};
use super::rules::resend::{self, Resend};
use super::rules::{RunError, Sent};

/// Says a message once more, in other words if some are given, or changes one that nobody has read. It is
/// refused when the conversation's leaf is not the expected one. Answers where it went, unless it waits
/// where it was.
///
/// # Errors
/// As [`resend::resend`] and [`resend::amend`].
pub async fn once_more(
    ws: &Ws,
    who: &Person,
    (message, text, expected): (InputId, Option<String>, Option<String>),
    once: Once,
) -> Result<Option<Sent>, RunError> {
    let by = who.account;
    let note = ws.look(move |ws| {
        ws.read(|snap| -> Result<_, StoreError> {
            let Some(input) = snap.get::<Input>(message)? else { return Ok(String::new()) };
            Ok(match versions::read_in(snap, &input)? {
                Some(read) => between::since(snap, read.session.id, read.event)?.1,
                None => String::new(),
            })
        })
    });
    let note = note.await?;
    let write = once.run(move |tx| {
        let input = tx.get::<Input>(message)?.filter(|input| input.by.account() == Some(by));
        let missing = || RunError::NotFound(format!("of message {message}"));
        let input = input.ok_or_else(missing)?;
        if let Some(expected) = &expected
            && let Some(read) = versions::read_in(tx, &input)?
            && sessions::leaf(Some(&read.session)) != *expected
        {
            return Err(RunError::Moved);
        }
        match (&input.state, text) {
            (InputState::Consumed(_), text) => {
                resend::resend(tx, Resend { message, text, note }, by).map(Some)
            }
            (_, Some(text)) => resend::amend(tx, message, by, &text).map(|()| None),
            (_, None) => Err(RunError::Unread),
        }
    });
    ws.write(who, write).await
}
