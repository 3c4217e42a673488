//! Task counts of saved views, for conditions that use them.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::routines::conditions::{Conditions, Datum, Values};
use crate::routines::registry::VIEW;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::filter::Asker;
use crate::tasks::queries::list::{self, Filter, Today};
use crate::tasks::queries::looks;
use crate::tasks::queries::people::People;
use crate::views::model::{BY_SLUG, View};
use kernel::filter::Query;
use kernel::key::KeyBuf;
use kernel::{AgentId, Assignee};
use store::{Read, ReadExt, StoreError};

/// Counts the tasks of the views that conditions name. `me` in a query means the routine's agent.
pub fn add_counts(
    read: &dyn Read,
    values: &mut Values,
    conditions: &Conditions,
    (agent, now): (AgentId, Timestamp),
) -> Result<(), StoreError> {
    for slug in conditions.views() {
        let count = match query(read, slug)? {
            Some(query) => count(read, &query, (agent, now))?,
            None => Datum::Nothing,
        };
        values.insert(Cow::Owned(format!("{VIEW}{slug}")), count);
    }
    Ok(())
}

/// Query of a built-in or shared view.
pub fn query(read: &dyn Read, slug: &str) -> Result<Option<String>, StoreError> {
    if let Some(view) = looks::built_in().into_iter().find(|view| view.slug == slug) {
        return Ok(Some(view.look.q));
    }
    let mut key = KeyBuf::new();
    key.text(looks::NOUN).text(slug);
    let view = read.find::<View>(BY_SLUG, &key)?.filter(|view| view.owner.is_none());
    Ok(view.map(|view| view.look.q))
}

fn count(
    read: &dyn Read,
    query: &str,
    (agent, now): (AgentId, Timestamp),
) -> Result<Datum, StoreError> {
    let (people, today) = (People::read(read)?, Today { now, zone: super::zone(read)? });
    let asker = Asker { read, people: &people, me: Assignee::Agent(agent), today: &today };
    let terms = match asker.understand(&Query::parse(query)) {
        Ok(understood) => understood.terms,
        Err(TaskError::Store(error)) => return Err(error),
        Err(_) => return Ok(Datum::Nothing),
    };
    let total = list::total(read, &Filter::of(terms), &today)?;
    Ok(Datum::Number(f64::from(u32::try_from(total).unwrap_or(u32::MAX))))
}
