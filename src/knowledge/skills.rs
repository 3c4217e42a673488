//! Skills by the names that messages have as `$name`: the slugs of their titles.

use features::agents::prompted::KnowledgeSkills;
use features::agents::skills::{MAX_NAMED, Skill};
use features::runs::model::Place;
use features::runs::queries::taint;
use kernel::AgentId;
use kernel::text::slug;
use store::{Blobs, Read, StoreError};

use crate::model::{Item, ItemKind};
use crate::queries;

/// Longest name in bytes.
const MAX_NAME: usize = 64;

pub const BY_NAME: KnowledgeSkills = KnowledgeSkills { list, texts };

fn name(item: &Item) -> String {
    slug(&item.title, MAX_NAME)
}

/// The skills that an agent may see, without those that a run wrote after it had read untrusted content.
fn of(read: &dyn Read, agent: AgentId) -> Result<Vec<Item>, StoreError> {
    let mut all = Vec::new();
    for item in queries::items(read, false)? {
        let is_own = item.kind == ItemKind::Skill && item.is_for(agent);
        if is_own && !name(&item).is_empty() && !taint::is_written(read, &Place::of(item.id))? {
            all.push(item);
        }
    }
    Ok(all)
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
