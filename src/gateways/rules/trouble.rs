//! Notices about problems that a host reports. They are marked as read once the problems are over.

use app::troubles::{News, Trouble};
use features::notifications::rules::settling::settle;
use kernel::{About, GatewayId, NoticeKind, RecordId, TypedId as _};
use store::WriteTx;

use super::joining::notice;
use super::words;
use crate::cards::GATEWAY;
use crate::error::GatewayError;
use crate::queries;

/// Longest stored problem text, in characters.
const MAX_TOLD: usize = 240;

/// A host's sentence, cut to length.
#[must_use]
pub fn clean(sentence: &str) -> String {
    words::clip(sentence, MAX_TOLD)
}

/// Notifies people of new problems, or marks the notices as read once all problems are over.
pub fn tell_trouble(tx: &mut WriteTx<'_>, id: GatewayId, news: &News) -> Result<(), GatewayError> {
    let all = match news {
        News::Same => return Ok(()),
        News::Over => return settled(tx, id, NoticeKind::GatewayTrouble),
        News::Began(all) => all,
    };
    let Some((first, others)) = all.split_first() else { return Ok(()) };
    let one = queries::gateway_by_id(tx, id)?;
    let mut body = first.help().to_owned();
    for other in others {
        body.push_str(&format!(" {} {}", Trouble::describe(other, &one.label), other.help()));
    }
    let title = first.describe(&one.label);
    tx.emit(notice(NoticeKind::GatewayTrouble, &one, title).body(body).event());
    Ok(())
}

/// Marks the notices about a gateway as read.
pub(super) fn settled(
    tx: &mut WriteTx<'_>,
    id: GatewayId,
    kind: NoticeKind,
) -> Result<(), GatewayError> {
    let about = About::Row(GATEWAY.table, RecordId::from_uuid(id.uuid()));
    Ok(settle(tx, about, kind)?)
}
