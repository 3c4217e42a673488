//! Skills by the names that messages have as `$name`: the slugs of their titles.

use features::agents::prompted::KnowledgeSkills;
use features::agents::skills::{MAX_NAME, MAX_NAMED, Skill};
use features::runs::model::Place;
use features::runs::queries::taint;
use kernel::AgentId;
use kernel::text::slug;
use store::{Blobs, Read, StoreError};

use crate::model::{Item, ItemKind};
use crate::queries;

pub const BY_NAME: KnowledgeSkills = KnowledgeSkills { list, texts };

/// The name of a skill; empty if its title has neither letters nor digits.
#[must_use]
pub fn name(item: &Item) -> String {
    slug(&item.title, MAX_NAME)
}

/// Skills that are not archived.
pub fn all(read: &dyn Read) -> Result<Vec<Item>, StoreError> {
    let mut all = queries::items(read, false)?;
    all.retain(|item| item.kind == ItemKind::Skill);
    Ok(all)
}

/// Wanted skills without those that a run wrote after it had read untrusted content.
pub fn accepted(
    read: &dyn Read,
    is_wanted: impl Fn(&Item) -> bool,
) -> Result<Vec<Item>, StoreError> {
    let mut accepted = Vec::new();
    for item in all(read)?.into_iter().filter(is_wanted) {
        if !taint::is_written(read, &Place::of(item.id))? {
            accepted.push(item);
        }
    }
    Ok(accepted)
}

/// The accepted skills that an agent may see and name.
fn of(read: &dyn Read, agent: AgentId) -> Result<Vec<Item>, StoreError> {
    accepted(read, |item| item.is_for(agent) && !name(item).is_empty())
}

fn list(read: &dyn Read, agent: AgentId) -> Result<Vec<Skill>, StoreError> {
    let skill = |item: Item| Skill { name: name(&item), about: item.title };
    Ok(of(read, agent)?.into_iter().map(skill).collect())
}

fn texts(
    read: &dyn Read,
    blobs: &Blobs,
    agent: AgentId,
    names: &[String],
) -> Result<Vec<(String, String)>, StoreError> {
    let all = of(read, agent)?;
    let mut found = Vec::new();
    for wanted in names {
        let Some(item) = all.iter().find(|item| name(item) == *wanted) else { continue };
        match queries::text(read, blobs, item.id) {
            Ok(text) => found.push((wanted.clone(), text)),
            Err(error) => tracing::warn!(%error, "an agent starts without a skill of knowledge"),
        }
        if found.len() == MAX_NAMED {
            break;
        }
    }
    Ok(found)
}
