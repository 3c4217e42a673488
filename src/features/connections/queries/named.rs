//! Resolves model names typed by people and API clients.

use store::{Read, StoreError};
use tool::args::nearest;

use super::{Pick, all, handle, picks};

/// Number of suggestions for an unknown model.
const NEAR: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The name can be used as it is.
    Known(String),
    /// Unknown name, with similar names.
    Unknown(Vec<String>),
}

/// Resolves `id`, `id@connection` or `connection/id`. If any connection lists no models, every name counts as known.
pub fn model(tx: &dyn Read, text: &str) -> Result<Named, StoreError> {
    let text = match text.trim().rsplit_once('@') {
        Some((model, connection)) if !model.is_empty() && !connection.is_empty() => {
            format!("{}/{model}", handle(connection))
        }
        _ => text.trim().to_owned(),
    };
    let silent = all(tx)?.iter().any(|one| one.models.is_empty());
    let picks = picks(tx)?;
    let names = |pick: &Pick| match pick.connection {
        Some(_) => format!("{}/{}", handle(&pick.connection_name), pick.model),
        None => pick.model.clone(),
    };
    let names: Vec<String> = picks.iter().map(names).collect();
    let is = |pick: &Pick, name: &String| pick.model == text || *name == text;
    if silent || picks.iter().zip(&names).any(|(pick, name)| is(pick, name)) {
        return Ok(Named::Known(text));
    }
    let models = picks.iter().map(|pick| pick.model.as_str());
    let near = nearest(&text, models.chain(names.iter().map(String::as_str)), NEAR);
    Ok(Named::Unknown(near.into_iter().map(str::to_owned).collect()))
}
