//! People are told when something is wrong with a machine, and what they were told is read once that is over.

use app::troubles::{News, Trouble};
use features::notifications::rules::settling::settle;
use kernel::{About, GatewayId, NoticeKind, RecordId, TypedId as _};
use store::WriteTx;

use super::joining::notice;
use super::words;
use crate::cards::GATEWAY;
use crate::error::GatewayError;
use crate::queries;

/// The longest sentence that is kept of what a host says is wrong.
const MAX_TOLD: usize = 240;

/// A sentence of a host as far as it is kept.
#[must_use]
pub fn clean(sentence: &str) -> String {
    words::clip(sentence, MAX_TOLD)
}

/// Tells people what began, or marks as read what they were told when all is over.
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

/// What people were told of a gateway is over.
pub(super) fn settled(
    tx: &mut WriteTx<'_>,
    id: GatewayId,
    kind: NoticeKind,
) -> Result<(), GatewayError> {
    let about = About::Row(GATEWAY.table, RecordId::from_uuid(id.uuid()));
    Ok(settle(tx, about, kind)?)
}
