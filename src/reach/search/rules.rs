//! Writes of web search that are not plain field changes.

use features::onboarding::rules as onboarding;
use features::usage::model::day_of;
use features::usage::rules::{self as usage, Callee, Reserve, Spent, UsageError};
use kernel::key::KeyBuf;
use kernel::{AccountId, AgentId, CallKind, Error, ProblemKind, ReservationId, RunId};
use serde_json::{Value, json};
use store::{ReadExt as _, WriteTx};
use vault::model::Category;
use vault::rules::{NewSecret, Patch};
use vault::values::NewValue;

use super::model::{MemberSearchDay, SearchDay, SearchEngine};
use super::noun::ENGINE;
use super::queries;
use crate::engines::EngineKind;

/// Searches of an agent, or of a person, per day (UTC).
pub const DAILY: u32 = 100;
/// The "model" under which searches are booked.
const MODEL: &str = "web_search";

/// The agent and the call that search.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub agent: AgentId,
    pub run: RunId,
    pub step: u32,
}

/// Counts a search of an agent, and reserves what its dearest engine costs.
pub(super) fn begin(
    tx: &mut WriteTx<'_>,
    caller: Caller,
    most_micros: i64,
) -> Result<Option<ReservationId>, Error> {
    let day = day_of(tx.now());
    let searches = queries::searches(tx, caller.agent, day)?;
    if DAILY <= searches {
        let message = format!(
            "you have searched {DAILY} times today; work with what you have, or read pages with web_fetch"
        );
        return Err(limited(message));
    }
    tx.put(&SearchDay { agent: caller.agent, day, searches: searches + 1 })?;
    if most_micros == 0 {
        return Ok(None);
    }
    let reserve = Reserve {
        agent: caller.agent,
        run: caller.run,
        call: caller.step,
        kind: CallKind::Search,
        callee: Callee { connection: None, provider: String::new(), model: MODEL.to_owned() },
        bound_micros: most_micros,
        // If HQ stops before the answer, the search is booked.
        input_micros: most_micros,
        bound_tokens: 0,
        input_tokens: 0,
    };
    usage::reserve(tx, reserve).map(Some).map_err(Error::of)
}

fn limited(message: String) -> Error {
    Error::new(ProblemKind::Limited, "search_limit", message)
}

/// Counts a search of a person. Costs are not booked: budgets belong to runs.
pub(super) fn count(tx: &mut WriteTx<'_>, member: AccountId) -> Result<(), Error> {
    let day = day_of(tx.now());
    let searches = queries::searches_of_member(tx, member, day)?;
    if DAILY <= searches {
        let message = format!("you have searched {DAILY} times today; search again tomorrow (UTC)");
        return Err(limited(message));
    }
    tx.put(&MemberSearchDay { member, day, searches: searches + 1 })?;
    Ok(())
}

/// Books a search: the engine that answered and what it cost, or that every engine failed.
pub(super) fn end(
    tx: &mut WriteTx<'_>,
    held: ReservationId,
    answered: Option<(String, i64)>,
) -> Result<(), UsageError> {
    let Some((provider, micros)) = answered else { return usage::release(tx, held) };
    let spent = Spent {
        connection: None,
        provider,
        model: MODEL.to_owned(),
        tokens: Default::default(),
        counted: true,
        billed_micros: Some(micros),
        size: None,
    };
    usage::settle(tx, held, spent).map(drop)
}

/// Stores the sealed key of an engine, or removes it.
pub(super) fn set_key(
    tx: &mut WriteTx<'_>,
    old: &SearchEngine,
    value: Option<NewValue>,
) -> Result<(), Error> {
    let live = |tx: &WriteTx<'_>, id| {
        let secret = tx.get::<vault::model::Secret>(id)?;
        Ok::<_, store::StoreError>(secret.is_some_and(|secret| secret.removed_at.is_none()))
    };
    let known = match old.secret {
        Some(id) if live(tx, id)? => Some(id),
        _ => None,
    };
    let secret = match (known, value) {
        (Some(id), Some(value)) => {
            Some(vault::rules::set_value(tx, id, value).map_err(Error::of)?.id)
        }
        (None, Some(value)) => {
            Some(vault::rules::create(tx, secret(old, value)).map_err(Error::of)?.id)
        }
        (Some(id), None) => {
            vault::rules::remove(tx, id).map_err(Error::of)?;
            None
        }
        (None, None) => None,
    };
    let new = SearchEngine { secret, updated_at: tx.now(), ..old.clone() };
    tx.put(&new)?;
    tx.emit(ENGINE.changed(old, &new));
    Ok(())
}

/// A secret that no program gets.
fn secret(engine: &SearchEngine, value: NewValue) -> NewSecret {
    let id: String = engine.id.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let id = &id[id.len().saturating_sub(8)..];
    NewSecret {
        name: format!("Key of the search engine {}", engine.name),
        key: Some(format!("SEARCH_KEY_{}", id.to_ascii_uppercase())),
        category: Category::Integration,
        plain: false,
        value,
        patch: Patch::default(),
    }
}

/// Removes the key of a deleted engine.
pub(super) fn forget_key(tx: &mut WriteTx<'_>, gone: &SearchEngine) -> Result<(), Error> {
    let Some(id) = gone.secret else { return Ok(()) };
    let secret = tx.get::<vault::model::Secret>(id)?;
    if secret.is_some_and(|secret| secret.removed_at.is_none()) {
        vault::rules::remove(tx, id).map_err(Error::of)?;
    }
    Ok(())
}

/// Name of the engine record that covers all services without a key.
const KEYLESS: &str = "Without a key";

/// Allows or forbids search at services without a key: adds their engine or turns it on, or turns each of them off.
///
/// # Errors
/// If no person allows it.
pub fn switch_keyless(tx: &mut WriteTx<'_>, is_allowed: bool) -> Result<(), Error> {
    let all = queries::all(tx)?;
    let keyless: Vec<&SearchEngine> =
        all.iter().filter(|one| one.kind == EngineKind::Keyless).collect();
    let turn = |tx: &mut WriteTx<'_>, one: &SearchEngine| {
        let values = [("is_enabled".to_owned(), json!(is_allowed))].into_iter().collect();
        ENGINE.update(tx, KeyBuf::of(&one.id).bytes(), None, &values)
    };
    match (is_allowed, keyless.as_slice()) {
        (true, []) => {
            let is_free = |name: &String| all.iter().all(|one| one.name != *name);
            let numbered = (2..).map(|n| format!("{KEYLESS} {n}"));
            let name = std::iter::once(KEYLESS.to_owned()).chain(numbered).find(is_free);
            let kind = Value::from(EngineKind::Keyless.word());
            let values = [("name".to_owned(), json!(name)), ("kind".to_owned(), kind)];
            ENGINE.create(tx, &values.into_iter().collect())?;
        }
        (true, some) if some.iter().any(|one| one.is_enabled) => {}
        (true, some) => turn(tx, some[0])?,
        (false, some) => {
            for one in some.iter().filter(|one| one.is_enabled) {
                turn(tx, one)?;
            }
        }
    }
    Ok(onboarding::answer_keyless(tx, is_allowed)?)
}
