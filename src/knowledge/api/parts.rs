//! Parts of an item in responses: passages and file.

use features::tasks::model::Task;
use features::tasks::queries as tasks;
use features::tasks::queries::brief::Names;
use kernel::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Read, ReadExt as _};

use crate::cut::Quote;
use crate::error::KnowledgeError;
use crate::model::{FileBody, KnowledgeId, Reading, ReadingState};
use crate::queries;

/// A passage that fits.
#[derive(Serialize, JsonSchema)]
pub(super) struct PassageView {
    n: u32,
    text: String,
    section: String,
    page: Option<u32>,
    /// Its bytes in the text.
    from: usize,
    to: usize,
}

impl PassageView {
    pub(super) fn of(quote: &Quote) -> Self {
        Self {
            n: quote.n,
            text: quote.text.clone(),
            section: quote.section.clone(),
            page: quote.page,
            from: quote.range.start,
            to: quote.range.end,
        }
    }
}

/// A file, and how far the reading of it is.
#[derive(Serialize, JsonSchema)]
pub(super) struct FileView {
    name: String,
    /// In bytes.
    size: u64,
    media: String,
    /// The encoding that a text was read by, such as `windows-1251`.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    /// Whether somebody chose it.
    encoding_chosen: bool,
    sha256: String,
    /// `waiting`, `done`, `partly`, `no_text` or `failed`.
    reading: &'static str,
    /// Why it could not be read, or not to its end.
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
    pages: Option<u32>,
    /// Whether only its beginning was read.
    cut: bool,
}

impl FileView {
    pub(super) fn of(file: FileBody, (reading, is_chosen): (Option<&Reading>, bool)) -> Self {
        let (reads, problem) = match reading.map(|one| &one.state) {
            Some(ReadingState::Done) => ("done", String::new()),
            Some(ReadingState::NoText) => ("no_text", String::new()),
            Some(ReadingState::Partly(why)) => ("partly", why.clone()),
            Some(ReadingState::Failed(why)) => ("failed", why.clone()),
            Some(ReadingState::Waiting) | None => ("waiting", String::new()),
        };
        Self {
            name: file.name,
            size: file.size,
            media: match reading.map(|one| one.media().0) {
                None | Some("") => file.media,
                Some(read) => read.to_owned(),
            },
            encoding: reading.and_then(|one| one.media().1).map(str::to_owned),
            encoding_chosen: is_chosen,
            sha256: file.blob.to_string(),
            reading: reads,
            problem,
            pages: reading.and_then(|one| one.pages),
            cut: reading.is_some_and(|one| one.cut),
        }
    }
}

/// What an agent did with an item.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnowledgeUse")]
pub(super) struct UseView {
    /// Its handle.
    agent: String,
    /// How often it began to work with the item in front of it.
    starts: u32,
    reads: u32,
    #[schemars(with = "Option<String>")]
    read_at: Option<Timestamp>,
    /// How many comments and deliveries of it quote the item.
    quotes: u32,
    /// The task in which it quoted it last.
    quoted_in: Option<String>,
}

impl UseView {
    pub(super) fn all(
        read: &dyn Read,
        names: &Names,
        item: KnowledgeId,
    ) -> Result<Vec<Self>, KnowledgeError> {
        let mut all = Vec::new();
        for uses in queries::uses(read, item)? {
            let Some(agent) = names.people.agent(uses.agent) else { continue };
            let task = uses.quoted_in.map(|task| read.get::<Task>(task)).transpose()?.flatten();
            all.push(Self {
                agent: agent.slug.clone(),
                starts: uses.starts,
                reads: uses.reads,
                read_at: uses.read_at,
                quotes: uses.quotes,
                quoted_in: task.map(|task| tasks::name(read, task.number)).transpose()?,
            });
        }
        Ok(all)
    }
}
