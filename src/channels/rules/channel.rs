//! Writes of channels and routes that are not plain field changes.

use kernel::{Error, RowAct};
use store::WriteTx;

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
