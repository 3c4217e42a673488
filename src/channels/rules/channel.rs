//! Writes of channels and routes that are not plain field changes.

use entity::decode_row;
use kernel::{Error, RowAct};
use store::{Read, StoreError, WriteTx};

use crate::model::{Channel, ChannelRouteId, Route};
use crate::nouns::{CHANNEL, ROUTE};

pub fn create(tx: &mut WriteTx<'_>, channel: &Channel) -> Result<(), Error> {
    tx.put(channel)?;
    tx.emit(CHANNEL.event(&channel.id, RowAct::Created));
    Ok(())
}

pub fn change(tx: &mut WriteTx<'_>, old: &Channel, new: &Channel) -> Result<(), Error> {
    tx.put(new)?;
    tx.emit(CHANNEL.changed(old, new));
    Ok(())
}

/// Whether an undo is refused: only an owner allows decisions.
pub fn rests(
    _: &dyn Read,
    now: Option<&[u8]>,
    then: Option<&[u8]>,
) -> Result<Option<String>, StoreError> {
    let read = |row: Option<&[u8]>| row.and_then(decode_row::<Channel>);
    let is_widened = match (read(now), read(then)) {
        (Some(now), Some(then)) => then.may_decide && !now.may_decide,
        _ => false,
    };
    Ok(is_widened.then(|| "Allow decisions in Settings → Channels.".to_owned()))
}

/// Creates a route, or changes the agent of the one for the same place.
pub fn save_route(
    tx: &mut WriteTx<'_>,
    old: Option<Route>,
    new: Route,
) -> Result<ChannelRouteId, Error> {
    match old {
        Some(old) => {
            let changed = Route { id: old.id, created_at: old.created_at, ..new };
            tx.put(&changed)?;
            tx.emit(ROUTE.changed(&old, &changed));
            Ok(old.id)
        }
        None => {
            tx.put(&new)?;
            tx.emit(ROUTE.event(&new.id, RowAct::Created));
            Ok(new.id)
        }
    }
}
