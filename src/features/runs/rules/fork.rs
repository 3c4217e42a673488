//! Copies a parent's conversation to a sub-agent. The copies are independent from then on. Each event keeps its
//! original run id, so that an old result has the same name in both conversations.

use crate::runs::model::{Context, EventKind, Session, SessionEvent};
use crate::runs::queries;
use store::WriteTx;

use super::RunError;

/// Maximum number of copied events and of bytes, because the copy is one transaction.
const MAX_EVENTS: u32 = 1_000;
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Copies the parent's context up to the response whose calls are being executed.
///
/// # Errors
/// `ForkTooLong` if the context exceeds the limits.
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
    // The token counts of providers belong to the parent's prompt.
    known.pruned_at = to.events;
    tx.put(&known)?;
    Ok(())
}

fn append(tx: &mut WriteTx<'_>, to: &mut Session, event: SessionEvent) -> Result<(), RunError> {
    let kind = match event.kind {
        // The run card belongs to the parent's run, so it is copied as a notice.
        EventKind::Input { input: None, text, .. } => {
            EventKind::Notice { text: text.head().to_owned() }
        }
        kind => kind,
    };
    tx.put(&SessionEvent { session: to.id, n: to.events, kind, ..event })?;
    to.events += 1;
    Ok(())
}

/// Whether models read events of this kind.
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
