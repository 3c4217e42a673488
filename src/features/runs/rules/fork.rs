//! A sub-agent that begins with its parent's conversation: what that one's model is shown is copied, so
//! that each goes its own way from there. The copies keep the run that they are from, so that an old
//! result is found by the same name in both.

use crate::runs::model::{Context, EventKind, Session, SessionEvent};
use crate::runs::queries;
use store::WriteTx;

use super::RunError;

/// The most events that are copied, and the most bytes of their texts: it is one transaction.
const MAX_EVENTS: u32 = 1_000;
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Copies what was said in a conversation before the answer whose calls are being carried out.
///
/// # Errors
/// `ForkTooLong` when that is more than can be copied.
pub(super) fn copy(tx: &mut WriteTx<'_>, from: &Session, to: &mut Session) -> Result<(), RunError> {
    let context = queries::context(tx, from.id)?;
    if MAX_EVENTS < from.events.saturating_sub(context.first_kept) {
        return Err(RunError::ForkTooLong);
    }
    let mut events = queries::events(tx, from.id, context.first_kept, u32::MAX)?;
    let last = |event: &SessionEvent| matches!(event.kind, EventKind::Assistant { .. });
    events.truncate(events.iter().rposition(last).unwrap_or(0));
    events.retain(|event| is_said(&event.kind));
    if MAX_BYTES < events.iter().map(|event| bytes(&event.kind)).sum::<usize>() {
        return Err(RunError::ForkTooLong);
    }
    let mut known = Context::whole(to.id);
    if let Some(n) = context.summary {
        for summary in queries::events(tx, from.id, n, n + 1)? {
            append(tx, to, summary)?;
            (known.summary, known.first_kept) = (Some(0), 1);
        }
    }
    (known.trimmed, known.cleared) = (to.events, to.events);
    for event in events {
        let n = event.n;
        append(tx, to, event)?;
        if n < context.trimmed {
            known.trimmed = to.events;
        }
        if n < context.cleared {
            known.cleared = to.events;
        }
    }
    // What providers counted was of another prompt.
    known.pruned_at = to.events;
    tx.put(&known)?;
    Ok(())
}

fn append(tx: &mut WriteTx<'_>, to: &mut Session, event: SessionEvent) -> Result<(), RunError> {
    let kind = match event.kind {
        // The card of a run is that run's; here it is what was said to it.
        EventKind::Input { input: None, text, .. } => {
            EventKind::Notice { text: text.head().to_owned() }
        }
        kind => kind,
    };
    tx.put(&SessionEvent { session: to.id, n: to.events, kind, ..event })?;
    to.events += 1;
    Ok(())
}

/// Whether a model is shown this.
fn is_said(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Input { .. }
            | EventKind::Assistant { .. }
            | EventKind::ToolFinished { .. }
            | EventKind::Notice { .. }
            | EventKind::Picture { .. }
            | EventKind::Attached { .. }
    )
}

fn bytes(kind: &EventKind) -> usize {
    let body = match kind {
        EventKind::Input { text: body, .. }
        | EventKind::Assistant { parts: body, .. }
        | EventKind::ToolFinished { result: body, .. } => body.head(),
        EventKind::Notice { text } => text,
        _ => "",
    };
    body.len()
}
