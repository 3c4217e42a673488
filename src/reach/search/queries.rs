//! The engines of a workspace in order, ready to be asked.

use std::sync::LazyLock;

use app::Ws;
use kernel::{AccountId, AgentId};
use store::{Index, Range, Read, ReadExt as _, StoreError};

use super::model::{MemberSearchDay, SearchDay, SearchEngine};
use crate::engines::cache::Cache;
use crate::engines::keyless::Service;
use crate::engines::manifest::Manifest;
use crate::engines::{Engine, EngineKind, Via};

/// Answers of all workspaces. An engine's id and its latest change are part of the key.
pub(super) static CACHE: LazyLock<Cache> = LazyLock::new(Cache::default);
/// Order of lists.
pub(super) const ORDER: Index = super::model::BY_POSITION;

pub(super) fn all(read: &dyn Read) -> Result<Vec<SearchEngine>, StoreError> {
    let mut all: Vec<SearchEngine> = read.list(&Range::all())?;
    all.sort_by_key(|one| (one.position, one.id));
    Ok(all)
}

/// How often an agent has searched on a day.
pub(super) fn searches(read: &dyn Read, agent: AgentId, day: u32) -> Result<u32, StoreError> {
    let row = read.get::<SearchDay>(agent)?.filter(|row| row.day == day);
    Ok(row.map_or(0, |row| row.searches))
}

/// How often a person has searched on a day.
pub(super) fn searches_of_member(
    read: &dyn Read,
    member: AccountId,
    day: u32,
) -> Result<u32, StoreError> {
    let row = read.get::<MemberSearchDay>(member)?.filter(|row| row.day == day);
    Ok(row.map_or(0, |row| row.searches))
}

/// The engines that are on and have the key they need; services without a key come last.
pub(super) fn ready(ws: &Ws) -> Result<Vec<Engine>, StoreError> {
    let mut rows = ws.read(|snap| all(snap))?;
    rows.sort_by_key(|row| row.kind == EngineKind::Keyless);
    let mut engines = Vec::new();
    for row in rows.into_iter().filter(|row| row.is_enabled) {
        for engine in opened(ws, &row)?.into_iter().filter(has_key) {
            if !engines.iter().any(|known| is_same_service(known, &engine)) {
                engines.push(engine);
            }
        }
    }
    Ok(engines)
}

/// Whether people have set up search: an engine with its key, or services without one. Blocking.
///
/// # Errors
/// If the store fails.
pub fn is_set_up(ws: &Ws) -> Result<bool, StoreError> {
    let rows = ws.read(|snap| all(snap))?;
    // Each prompt asks this: the keys of the remaining engines stay sealed once one is ready.
    for row in rows.iter().filter(|row| row.is_enabled) {
        if opened(ws, row)?.iter().any(has_key) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Services without a key may be listed twice.
fn is_same_service(one: &Engine, other: &Engine) -> bool {
    match (&one.via, &other.via) {
        (Via::Keyless(one), Via::Keyless(other)) => one == other,
        _ => false,
    }
}

fn has_key(engine: &Engine) -> bool {
    let needs = match &engine.via {
        Via::Kind(kind) => kind.needs_key(),
        Via::Manifest(manifest) => manifest.needs_key(),
        Via::Keyless(_) => false,
    };
    !needs || !engine.key.is_empty()
}

/// The services of a record without a key.
fn services(row: &SearchEngine) -> Vec<Engine> {
    let engine = |service: Service| Engine {
        id: format!("{}-{}", id(row), service.label()),
        name: format!("{} without a key", service.label()),
        via: Via::Keyless(service),
        address: row.address.clone(),
        key: String::new(),
        may_cache: row.may_cache,
        cost_micros: 0,
    };
    Service::ALL.map(engine).into()
}

fn id(row: &SearchEngine) -> String {
    format!("{}-{}", row.id, row.updated_at.as_millisecond())
}

/// The engine of a record with its decrypted key; several for services without a key.
pub(super) fn opened(ws: &Ws, row: &SearchEngine) -> Result<Vec<Engine>, StoreError> {
    let via = match row.kind {
        EngineKind::Keyless => return Ok(services(row)),
        // ok: the manifest was checked when it was saved; without one, the engine says so.
        EngineKind::Manifest => match Manifest::parse(&row.manifest) {
            Ok(manifest) => Via::Manifest(Box::new(manifest)),
            Err(_) => Via::Kind(row.kind),
        },
        kind => Via::Kind(kind),
    };
    Ok(vec![Engine {
        id: id(row),
        name: row.name.clone(),
        via,
        address: row.address.clone(),
        key: key(ws, row)?,
        may_cache: row.may_cache,
        cost_micros: i64::from(row.cost_micros),
    }])
}

/// The decrypted key; empty if there is none, or it cannot be decrypted.
fn key(ws: &Ws, row: &SearchEngine) -> Result<String, StoreError> {
    let Some(id) = row.secret else { return Ok(String::new()) };
    let value = ws.read(|snap| {
        let secret = snap.get::<vault::model::Secret>(id)?;
        let is_live = secret.is_some_and(|secret| secret.removed_at.is_none());
        Ok::<_, StoreError>(vault::queries::value(snap, id)?.filter(|_| is_live))
    })?;
    let opened = value.and_then(|value| {
        vault::values::open(&ws.app.keyring, id, &value.sealed)
            .inspect_err(
                |error| tracing::warn!(%error, "the key of a search engine can't be opened"),
            )
            .ok()
    });
    let text = opened.and_then(|secret| secret.expose_text().map(str::to_owned).ok());
    Ok(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::ToSpan as _;
    use kernel::TypedId as _;
    use store::Record as _;

    use super::{SearchEngine, Service, is_same_service, services};
    use crate::search::SearchEngineId;

    #[test]
    fn the_question_names_every_maker() {
        let named = features::onboarding::queries::KEYLESS_MAKERS;
        let labels = Service::ALL.map(Service::label);
        assert!(labels.iter().all(|label| named.contains(label)), "{named}");
        assert_eq!(named.split([',', ' ']).filter(|word| word.len() > 3).count(), labels.len());
    }

    #[test]
    fn services_without_a_key_follow_the_settings_of_their_record() {
        let one = SearchEngine { may_cache: false, ..SearchEngine::sample() };
        let later = SearchEngine { updated_at: one.updated_at + 1.second(), ..one.clone() };
        let other = SearchEngine {
            id: SearchEngineId::from_bytes([102; 16]),
            may_cache: true,
            ..one.clone()
        };
        let all: Vec<_> = [&one, &later, &other].into_iter().flat_map(services).collect();
        let ids: BTreeSet<&str> = all.iter().map(|engine| engine.id.as_str()).collect();
        assert_eq!(ids.len(), all.len(), "{ids:?}");
        let caching: Vec<bool> = all.iter().map(|engine| engine.may_cache).collect();
        assert_eq!(caching, [[false; 3], [false; 3], [true; 3]].concat());
        assert!(is_same_service(&all[0], &all[6]) && !is_same_service(&all[0], &all[1]));
    }
}
