//! Sending a message again; shared by page and API.

use app::Ws;
use kernel::{InputId, RunId};
use store::{ReadExt as _, StoreError};
use web::idempotency::Once;
use web::session::Person;

use features::runs::model::{Input, InputState};
use features::runs::queries::{between, sessions, versions};
use features::runs::rules::resend::{self, Resend};
use features::runs::rules::{RunError, Sent};

/// The runs that acted after a message that is about to be edited, each with its first event after the message, oldest
/// first; empty for an unread message.
///
/// # Errors
/// The message may not be sent again.
pub async fn done_after(
    ws: &Ws,
    who: &Person,
    message: InputId,
    expected: Option<String>,
) -> Result<Vec<(RunId, u32)>, RunError> {
    let by = who.account;
    let look = move |ws: &Ws| {
        ws.read(|snap| {
            let input = snap.get::<Input>(message)?.filter(|input| input.by.account() == Some(by));
            let missing = || RunError::NotFound(format!("of message {message}"));
            let input = input.ok_or_else(missing)?;
            if !matches!(input.state, InputState::Consumed(_)) {
                return Ok(Vec::new());
            }
            let Some(read) = versions::read_in(snap, &input)? else { return Err(RunError::Former) };
            let session = &read.session;
            if session.owner.is_none() || !session.admits(by) {
                return Err(RunError::NoSession(session.id));
            }
            if session.active_run.is_some() {
                return Err(RunError::Busy);
            }
            if expected.as_ref().is_some_and(|leaf| sessions::leaf(Some(session)) != *leaf) {
                return Err(RunError::Moved);
            }
            let (all, _) = between::since(snap, session.id, read.event, false)?;
            Ok(all.into_iter().map(|(run, _)| (run.id, read.event)).collect())
        })
    };
    ws.read_blocking(look).await
}

/// Sends a message again, optionally with new text, or changes an unread one. Refused if the conversation's leaf is not
/// `expected`. `undone` states whether later effects were reverted. Returns where the message was sent; `None` if it
/// was changed in place.
///
/// # Errors
/// As [`resend::resend`] and [`resend::amend`].
pub async fn once_more(
    ws: &Ws,
    who: &Person,
    (message, text, expected): (InputId, Option<String>, Option<String>),
    undone: bool,
    once: Once,
) -> Result<Option<Sent>, RunError> {
    let by = who.account;
    let note = ws.read_blocking(move |ws| {
        ws.read(|snap| -> Result<_, StoreError> {
            let Some(input) = snap.get::<Input>(message)? else { return Ok(String::new()) };
            Ok(match versions::read_in(snap, &input)? {
                Some(read) => between::since(snap, read.session.id, read.event, undone)?.1,
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
