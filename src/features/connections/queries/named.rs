//! Models by the names that people and programs give them.

use store::{Read, StoreError};
use tool::args::nearest;

use super::{Pick, all, handle, picks};

/// How many models are named when one is not found.
const NEAR: usize = 3;

/// A model as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It can be asked for by this name.
    Known(String),
    /// There is none of this name; these come near.
    Unknown(Vec<String>),
}

/// A model by what was typed: `id`, `id@connection` or `connection/id`. Where a connection lists no models
/// any name may be one of its own.
pub fn model(tx: &dyn Read, typed: &str) -> Result<Named, StoreError> {
    let typed = match typed.trim().rsplit_once('@') {
        Some((model, connection)) if !model.is_empty() && !connection.is_empty() => {
            format!("{}/{model}", handle(connection))
        }
        _ => typed.trim().to_owned(),
    };
    let silent = all(tx)?.iter().any(|one| one.models.is_empty());
    let picks = picks(tx)?;
    let names = |pick: &Pick| match pick.connection {
        Some(_) => format!("{}/{}", handle(&pick.connection_name), pick.model),
        None => pick.model.clone(),
    };
    let names: Vec<String> = picks.iter().map(names).collect();
    let is = |pick: &Pick, name: &String| pick.model == typed || *name == typed;
    if silent || picks.iter().zip(&names).any(|(pick, name)| is(pick, name)) {
        return Ok(Named::Known(typed));
    }
    let models = picks.iter().map(|pick| pick.model.as_str());
    let near = nearest(&typed, models.chain(names.iter().map(String::as_str)), NEAR);
    Ok(Named::Unknown(near.into_iter().map(str::to_owned).collect()))
}
