//! Use of an item by agents, beside the item.

use std::cmp::Reverse;

use features::tasks::model::Task;
use features::tasks::queries::view_context::ViewContext;
use store::{Read, ReadExt as _, StoreError};
use web::parts::Face;

use crate::model::{KnowledgeId, Uses};
use crate::queries;

/// An agent that uses an item.
pub(super) struct UseLine {
    pub(super) face: Face,
    pub(super) href: String,
    /// Kinds of use with their numbers.
    pub(super) told: String,
    /// Name and address of the task of the last citation.
    pub(super) quoted_in: Option<(String, String)>,
}

/// The agents that use an item, most citations first.
pub(super) fn lines(
    scene: &ViewContext,
    read: &dyn Read,
    item: KnowledgeId,
) -> Result<Vec<UseLine>, StoreError> {
    let mut all = queries::uses(read, item)?;
    all.sort_by_key(|one| Reverse((one.quotes, one.reads, one.starts)));
    let mut lines = Vec::new();
    for uses in all {
        let Some(agent) = scene.people.agent(uses.agent) else { continue };
        let task = uses.quoted_in.map(|task| read.get::<Task>(task)).transpose()?.flatten();
        lines.push(UseLine {
            face: Face::agent(&agent.name, &agent.emoji, &agent.slug),
            href: scene.ws.url(&format!("agents/{}", agent.slug)),
            told: describe(&uses),
            quoted_in: task.map(|task| (scene.name(&task), scene.href(&task))),
        });
    }
    Ok(lines)
}

fn describe(uses: &Uses) -> String {
    let all =
        [("started with it", uses.starts), ("read it", uses.reads), ("quoted it", uses.quotes)];
    let part = |(did, n): (&str, u32)| match n {
        0 => None,
        1 => Some(format!("{did} once")),
        2 => Some(format!("{did} twice")),
        n => Some(format!("{did} {n} times")),
    };
    all.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
}
