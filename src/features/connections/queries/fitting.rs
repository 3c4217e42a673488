//! Chooses the connected model that suits a role.

use crate::agents::model::ModelClass;
use crate::workspace::model::Settings;
use providers::catalog::{self, Model};
use store::{Read, ReadExt, StoreError};

use super::{Pick, picks, resolve_default};

/// A model of the default connection that suits the role better than the default model; `None` if the default suits.
/// Other connections are ignored: they were not provided for general use.
pub fn model(tx: &dyn Read, class: ModelClass) -> Result<Option<Pick>, StoreError> {
    let suits: fn(&Model) -> bool = match class {
        ModelClass::Balanced => return Ok(None),
        ModelClass::Fast => |model| model.fast,
        ModelClass::Deep => |model| model.deep,
    };
    let suits = |id: &str| {
        catalog::find(id).is_some_and(|model| suits(&model) && model.tools && !model.deprecated)
    };
    let connection = tx.get::<Settings>(())?.and_then(|settings| settings.default_connection);
    if connection.is_none() || suits(&resolve_default(tx)?) {
        return Ok(None);
    }
    let near = picks(tx)?.into_iter().filter(|pick| pick.connection == connection);
    Ok(near.filter(|pick| suits(&pick.model)).min_by_key(|pick| catalog::rank(&pick.model)))
}
