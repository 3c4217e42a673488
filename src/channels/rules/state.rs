//! The connection of a channel, as its worker reports it.

use kernel::notice::Notice;
use kernel::{About, ChannelId, Error, NoticeKind, Timestamp};
use store::{ReadExt as _, WriteTx};

use crate::model::{Channel, ChannelState, State};
use crate::queries;

/// Changes the state, unless state and reason are unchanged.
pub fn set_state(
    tx: &mut WriteTx<'_>,
    id: ChannelId,
    state: State,
    detail: &str,
) -> Result<(), Error> {
    if tx.get::<Channel>(id)?.is_none() {
        return Ok(());
    }
    let old = queries::state(tx, id, tx.now())?;
    if (old.state, old.detail.as_str()) == (state, detail) {
        return Ok(());
    }
    let since = if old.state == state { old.since } else { tx.now() };
    let is_reported = old.is_reported && state != State::Online && state != State::Off;
    let detail = detail.to_owned();
    tx.put(&ChannelState { state, detail, since, is_reported, ..old })?;
    Ok(())
}

/// The channel is connected.
pub fn connected(tx: &mut WriteTx<'_>, id: ChannelId) -> Result<(), Error> {
    set_state(tx, id, State::Online, "")
}

/// Stores the adapter's position.
pub fn cursor(tx: &mut WriteTx<'_>, id: ChannelId, cursor: &str) -> Result<(), Error> {
    if tx.get::<Channel>(id)?.is_none() {
        return Ok(());
    }
    let old = queries::state(tx, id, tx.now())?;
    if old.cursor != cursor {
        tx.put(&ChannelState { cursor: cursor.to_owned(), ..old })?;
    }
    Ok(())
}

/// Notifies admins, once, of a channel that has been down since before `before`.
pub fn report(tx: &mut WriteTx<'_>, id: ChannelId, before: Timestamp) -> Result<(), Error> {
    let state = queries::state(tx, id, tx.now())?;
    let is_down = state.state.is_down();
    let Some(channel) = tx.get::<Channel>(id)?.filter(|_| is_down) else { return Ok(()) };
    if state.is_reported || before < state.since {
        return Ok(());
    }
    let title = format!("{} is not connected to {}", channel.name, channel.kind.label());
    let about = match channel.agent {
        Some(agent) => About::Agent(agent),
        None => return Ok(()),
    };
    let notice = Notice::new(NoticeKind::System, about, title);
    tx.emit(kernel::Event::NoticeGiven { notice: notice.body(state.detail.clone()).or_admins() });
    tx.put(&ChannelState { is_reported: true, ..state })?;
    Ok(())
}
