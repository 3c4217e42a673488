//! Knowledge tools for agents: search, read, and write own pages and skills. Results name their passage, so that a
//! citation can be verified. No tool deletes, and none puts an item into every agent's context.

pub mod deliver;
mod packages;
mod write;

use std::borrow::Cow;

use app::Ws;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use kernel::{Actor, Can, Cause};
use store::ReadExt as _;
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, untrusted};

use crate::cut::{Cut, Quote};
use crate::error::KnowledgeError;
use crate::find::{self, FindRequest, Seer};
use crate::model::{Body, Item, ItemKind, KnowledgeId, Reading, ReadingState};
use crate::passages::PAGE_END;
use crate::queries::{self, Tree};
use crate::{cited, origin, rules};
use write::{PageCreate, PageUpdate, SkillSave};

/// Default and maximum number of results.
const HITS: usize = 8;
const MOST: usize = 20;
/// Size limit of a text in a response, and of its surroundings, in bytes.
const PIECE: usize = 12 * 1024;
const AROUND: usize = 5 * 1024;
/// Maximum number of passages in a response; each has a mark.
const PASSAGES: usize = 200;

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(Search).read(Read).write(PageCreate).write(PageUpdate).write(SkillSave)
}

const fn spec(name: &'static str, effect: Effect, about: &'static str) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Knowledge,
        needs,
        effect,
        about: Cow::Borrowed(about),
    }
}

/// `knowledge_search`: finds passages.
struct Search;

/// Arguments of `knowledge_search`.
#[derive(Deserialize, JsonSchema)]
struct SearchArgs {
    /// words
    query: String,
    /// page, skill, file or source
    kind: Option<ItemKind>,
    /// any of them
    #[serde(default)]
    tags: Vec<String>,
    /// name, path or id
    folder: Option<String>,
    /// at most 20
    limit: Option<usize>,
    /// next of the previous page
    cursor: Option<usize>,
}

impl ReadTool for Search {
    type Args = SearchArgs;
    const SPEC: ToolSpec = spec(
        "knowledge_search",
        Effect::Read,
        "Search the workspace's knowledge: pages, skills, files, sources. Put a passage's cite \
         after what you take from it.",
    );

    async fn read(&self, cx: &ToolCx, args: SearchArgs) -> Result<ToolOutput, ToolError> {
        let folder = cx
            .ws
            .read(|snap| queries::folder_given(snap, args.folder.as_deref().map(str::trim)))?;
        let skip = args.cursor.unwrap_or(0);
        let is_plain = skip == 0 && folder.is_none() && args.tags.is_empty();
        let wants_skills = is_plain && args.kind.is_none_or(|kind| kind == ItemKind::Skill);
        let skills = match wants_skills {
            true => {
                let (agent, query) = (cx.agent, args.query.clone());
                let search = move |ws: &Ws| Ok(packages::search(ws, agent, &query));
                cx.ws.read_blocking::<_, KnowledgeError>(search).await?
            }
            false => Vec::new(),
        };
        let wish = FindRequest {
            q: args.query,
            kind: args.kind,
            folder,
            tags: args.tags,
            skip,
            take: args.limit.unwrap_or(HITS).clamp(1, MOST),
            ..FindRequest::default()
        };
        let take = wish.take;
        let mut found = find::find(&cx.ws, Seer::Agent(cx.agent), wish).await?;
        let hits = std::mem::take(&mut found.hits);
        let hits = cx.ws.read_blocking(move |ws| hits_json(ws, &hits)).await?;
        if hits.is_empty() && skills.is_empty() {
            let unknown = found.unknown();
            let words = "No evidence: nothing here has these words.";
            return Ok(ToolOutput::text(format!("{words} {unknown}").trim().to_owned()));
        }
        let mut answer = json!({ "hits": hits });
        if !skills.is_empty() {
            answer["skills"] = json!(skills);
        }
        if found.more {
            answer["next"] = json!(skip + take);
        }
        if !found.unknown().is_empty() {
            answer["not_known_yet"] = json!(found.unknown());
        }
        Ok(foreign(cx, &answer.to_string()))
    }
}

fn hits_json(ws: &Ws, hits: &[find::Hit]) -> Result<Vec<Value>, KnowledgeError> {
    ws.read(|snap| {
        let tree = Tree::read(snap)?;
        let one = |hit: &find::Hit| {
            let cut = Cut::of(&ws.blobs, snap, hit.item.id)?;
            let mut one = json!({
                "id": hit.item.id.to_string(),
                "title": hit.item.title,
                "kind": hit.item.kind.word(),
                "folder": tree.path(hit.item.folder).join("/"),
                "tags": hit.item.tags,
                "passages": hit.quotes.iter().map(|quote| passage(hit, &cut, quote)).collect::<Vec<_>>(),
            });
            let mut notes = Vec::new();
            if snap.get::<Reading>(hit.item.id)?.is_some_and(|reading| reading.cut) {
                notes.push("Only the beginning was read.".to_owned());
            }
            if let Some(ReadingState::Partly(why)) =
                snap.get::<Reading>(hit.item.id)?.map(|reading| reading.state)
            {
                notes.push(why);
            }
            if hit.item.kind == ItemKind::Source {
                let source = origin::of(snap, hit.item.id)?.map(|origin| origin.told);
                notes.extend(source.filter(|source| !source.is_empty()));
            }
            if !notes.is_empty() {
                one["note"] = json!(notes.join(" "));
            }
            Ok::<_, KnowledgeError>(one)
        };
        hits.iter().map(one).collect()
    })
}

fn passage(hit: &find::Hit, cut: &Cut, quote: &Quote) -> Value {
    let mut one = json!({ "cite": cited::cite(hit.item.id, cut, quote.n), "text": quote.text });
    if !quote.section.is_empty() {
        one["section"] = json!(quote.section);
    }
    if let Some(page) = quote.page {
        one["page"] = json!(page);
    }
    one
}

/// Marks text of other authors as untrusted.
fn foreign(cx: &ToolCx, words: &str) -> ToolOutput {
    ToolOutput::text(untrusted::wrap(&untrusted::id_for(cx), words))
}

/// `knowledge_read`: reads an item.
struct Read;

/// Arguments of `knowledge_read`.
#[derive(Deserialize, JsonSchema)]
struct ReadArgs {
    /// its id or title
    item: String,
    /// only this page of a file
    page: Option<usize>,
    /// the byte to continue from, as in the previous result
    from: Option<usize>,
}

impl ReadTool for Read {
    type Args = ReadArgs;
    const SPEC: ToolSpec =
        spec("knowledge_read", Effect::Read, "Read a knowledge item by its id or title.");

    async fn read(&self, cx: &ToolCx, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let (agent, most) = (cx.agent, cx.max_result.saturating_sub(AROUND).clamp(1024, PIECE));
        let goes_on = args.from.is_some_and(|from| 0 < from);
        let (item, part) = (args.item.clone(), (args.from.unwrap_or(0), most));
        let of_package = move |ws: &Ws| Ok(packages::read(ws, agent, &item, part));
        if let Some(text) = cx.ws.read_blocking::<_, KnowledgeError>(of_package).await? {
            return Ok(ToolOutput::text(text));
        }
        let (id, head, text) = cx
            .ws
            .read_blocking(move |ws| {
                ws.read(|snap| {
                    let item = queries::item(snap, &args.item, Some(agent))?;
                    let cut = Cut::of(&ws.blobs, snap, item.id)?;
                    let piece = Piece {
                        item: &item,
                        cut: &cut,
                        reading: snap.get(item.id)?,
                        waits: find::is_waiting(snap, item.id)?,
                        version: snap.get_rev::<Body>(item.id)?.map(|(_, rev)| rev),
                    };
                    let (head, mut text) = piece.describe((args.page, args.from), most)?;
                    if item.kind.is_outside() {
                        // Title and origin are untrusted, too.
                        let origin = origin::of(snap, item.id)?.map_or_else(String::new, |one| {
                            format!("It comes from {}.\n", one.told_to_agents())
                        });
                        text = format!("{}\n{origin}\n{text}", item.title);
                    }
                    Ok::<_, KnowledgeError>((item.id, head, text))
                })
            })
            .await?;
        if !goes_on {
            count(cx, id).await;
        }
        Ok(ToolOutput::text(format!("{head}\n{}", untrusted::wrap(&untrusted::id_for(cx), &text))))
    }
}

/// Counts that an agent has read an item. A failure to count does not fail the read.
async fn count(cx: &ToolCx, id: KnowledgeId) {
    let (agent, run) = (cx.agent, cx.run);
    let by = (Actor::Agent { agent, run }, Cause::Step(run, cx.step));
    let noted = cx.ws.write(&by, move |tx| rules::note_read(tx, id, agent)).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "that an item was read is not counted");
    }
}

/// A part of an item.
struct Piece<'a> {
    item: &'a Item,
    cut: &'a Cut,
    /// Result of reading its file.
    reading: Option<Reading>,
    /// Whether its text is still being extracted.
    waits: bool,
    /// Revision to base a change on; `None` for a text that cannot be edited.
    version: Option<u64>,
}

impl Piece<'_> {
    /// A description of the part, and its text with a mark before each passage.
    fn describe(
        &self,
        (page, from): (Option<usize>, Option<usize>),
        most: usize,
    ) -> Result<(String, String), KnowledgeError> {
        let (start, whole) = match page.filter(|_| !self.waits) {
            Some(page) => self.on_page(page)?,
            None => (0, self.cut.text.as_str()),
        };
        let requested = from.unwrap_or(0);
        let from = whole.floor_char_boundary(requested.min(whole.len()));
        let mut text = kernel::text::cut(&whole[from..], most);
        let mut begins = self.passages(start + from, text.len());
        if let Some((_, end)) = begins.get(PASSAGES) {
            text = &text[..*end];
        }
        begins.truncate(PASSAGES);
        let given = begins.first().zip(begins.last()).map(|(first, last)| first.0..=last.0);
        let mut head = cited::given(self.item, given.as_ref());
        if let Some(version) = self.version {
            head.push_str(&format!(", version {version}: {}", self.item.title));
        }
        head.push('.');
        if from + text.len() < whole.len() {
            let (next, all) = (from + text.len(), whole.len());
            head.push_str(&format!(
                " Bytes {from} to {next} of {all}; continue with from: \
                {next}."
            ));
        }
        if self.waits {
            head.push_str(" This file has not been processed yet; try again in a moment.");
        } else if whole.trim().is_empty() {
            let place = if page.is_some() { "on this page" } else { "in it" };
            head.push_str(&format!(" There is no text {place}."));
        } else if whole.len() <= requested {
            let all = whole.len();
            head.push_str(&format!(" There is no text from byte {requested}; it has {all} bytes."));
        }
        if self.reading.as_ref().is_some_and(|reading| reading.cut) {
            head.push_str(" Only the beginning of the file was processed; the file has more.");
        }
        if let Some(ReadingState::Partly(why)) = self.reading.as_ref().map(|one| &one.state) {
            head.push_str(&format!(" {why}"));
        }
        if let Some((n, _)) = begins.first() {
            let cite = cited::cite(self.item.id, self.cut, *n);
            head.push_str(&format!(" Cite a passage by the mark before it, such as {cite}."));
        }
        let mut marked = String::with_capacity(text.len() + 16 * begins.len());
        let mut done = 0;
        for (n, at) in begins {
            marked.push_str(&text[done..at]);
            marked.push_str(&cited::mark(self.cut, n));
            done = at;
        }
        marked.push_str(&text[done..]);
        Ok((head, marked.replace(PAGE_END, "\n\n— next page —\n\n")))
    }

    /// The passages that overlap this part, with their offsets in it.
    fn passages(&self, from: usize, len: usize) -> Vec<(u32, usize)> {
        let all = (0..self.cut.len()).zip(&self.cut.passages);
        all.filter(|(_, one)| one.range.start < from + len && from < one.range.end)
            .map(|(n, one)| (n, one.range.start.max(from) - from))
            .collect()
    }

    /// A page of the text, and its offset.
    fn on_page(&self, page: usize) -> Result<(usize, &str), KnowledgeError> {
        let known = self.reading.as_ref().and_then(|reading| reading.pages);
        let known = known.and_then(|pages| usize::try_from(pages).ok());
        let all = self.cut.text.split(PAGE_END).count().max(known.unwrap_or_default());
        if page == 0 || all < page {
            let words = match (all, known) {
                (1, None) => "It has no pages; leave page out.".to_owned(),
                (1, Some(_)) => "It has one page.".to_owned(),
                (all, _) => format!("It has {all} pages."),
            };
            return Err(KnowledgeError::field("page", words));
        }
        let mut start = 0;
        for (n, text) in self.cut.text.split(PAGE_END).enumerate() {
            if n + 1 == page {
                return Ok((start, text));
            }
            start += text.len() + PAGE_END.len_utf8();
        }
        // Trailing pages without text.
        Ok((self.cut.text.len(), ""))
    }
}
