//! Results of the command palette.
//!
//! `>` finds actions, `@` people, agents and knowledge, `#` streams and labels. Without a prefix everything is
//! searched, and display names such as `MC-142` open their record directly.

use std::time::Duration;

use crate::agents::model::Agent;
use crate::agents::queries::{self as agents, Called};
use crate::cards;
use crate::connections::queries::vectors;
use crate::runs::model::Run;
use crate::runs::queries::{self as runs, talk};
use crate::tasks::model::label::LABELS;
use crate::workspace::queries as workspace;
use crate::workspace::queries::modules::Off;
use app::Ws;
use kernel::key::KeyBuf;
use kernel::{AgentStatus, Can};
use search::Wanted;
use store::{ReadExt as _, Snap, StoreError};
use web::format;
use web::html::SafeHtml;
use web::parts::Face;
use web::session::Person;

use super::super::model::{Found, Kind};
use super::document::Reader;
use super::places::{self, Place};
use super::view::{self, Hit};
use super::{SearchRequest, find, recent};

/// Maximum number of lines per group.
const GROUP: usize = 5;
/// Maximum number of lines in a list of one kind.
const LIST: usize = 20;
/// Minimum query length in characters for a search.
const MEANT: usize = 3;
/// Maximum number of recent paths to examine.
const RECENT: usize = 12;
/// How long a keystroke waits for the index. Unindexed records are found regardless.
const PATIENCE: Duration = Duration::from_millis(15);

pub struct Line {
    pub glyph: &'static str,
    /// State word for the icon, or empty.
    pub state: &'static str,
    /// Face to show instead of an icon.
    pub face: Option<Face>,
    pub title: SafeHtml,
    pub meta: String,
    /// Excerpt around the match, or empty.
    pub snippet: SafeHtml,
    /// Link target.
    pub href: String,
    /// Selector of an element to click instead, or empty.
    pub press: &'static str,
    /// URL to post a form to instead, or empty.
    pub post: String,
}

pub struct Group {
    pub label: &'static str,
    pub lines: Vec<Line>,
}

#[derive(Default)]
pub struct Offer {
    /// No group is empty.
    pub groups: Vec<Group>,
    /// `true` if the query was matched fuzzily.
    pub guessed: bool,
    /// Number of records indexed so far while an index is being built.
    pub building: Option<u64>,
    /// URL of semantically similar passages, or empty if unavailable. Loaded after the lines, so that no keystroke
    /// waits for them.
    pub nearest: String,
}

impl Offer {
    fn add(&mut self, label: &'static str, lines: Vec<Line>) {
        if !lines.is_empty() {
            self.groups.push(Group { label, lines });
        }
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.lines.len()).sum()
    }
}

/// Results for a query. `seen` has recently opened paths, last first.
pub async fn offer(ws: &Ws, who: &Person, text: &str, seen: &str) -> Result<Offer, StoreError> {
    let text = text.trim_start();
    let mut signs = text.chars();
    match signs.next() {
        None => start(ws, who, seen),
        Some('>') => actions(ws, who, signs.as_str()),
        Some('@') => of_kinds(ws, who, signs.as_str(), &kinds_called(signs.as_str())).await,
        Some('#') => of_kinds(ws, who, signs.as_str(), &kinds_of_work()).await,
        Some(_) => everything(ws, who, text).await,
    }
}

/// Kinds for the prefix `@`. Knowledge is included only with a query, because it has many records.
fn kinds_called(words: &str) -> Vec<Kind> {
    let items = cards::of_word("knowledge").and_then(|noun| Kind::of_table(noun.table));
    let items = items.filter(|_| Wanted::of(words).is_some());
    [Some(Kind::Agent), Some(Kind::Person), items].into_iter().flatten().collect()
}

/// Kinds for the prefix `#`.
fn kinds_of_work() -> Vec<Kind> {
    let label = Kind::of_table(LABELS.number);
    [Some(Kind::Stream), label].into_iter().flatten().collect()
}

fn start(ws: &Ws, who: &Person, seen: &str) -> Result<Offer, StoreError> {
    let mut offer = Offer::default();
    let paths: Vec<&str> = seen.split(',').filter(|path| !path.is_empty()).take(RECENT).collect();
    let off = ws.read(|snap| Off::of(snap))?;
    let hits = ws.read(|snap| recent(snap, who, &paths))?;
    offer.add("Recent", hits.into_iter().map(|hit| line(ws, hit)).collect());
    let all = |places: Vec<&'static Place>| places.into_iter().map(|p| of_place(ws, p, None));
    let pages = places::pages(who, &off).into_iter().filter(|page| page.part == "Pages").collect();
    offer.add("Go to", all(pages).collect());
    offer.add("Actions", all(places::actions(who, &off)).collect());
    Ok(offer)
}

fn actions(ws: &Ws, who: &Person, words: &str) -> Result<Offer, StoreError> {
    let mut offer = Offer::default();
    let wanted = Wanted::of(words);
    let off = ws.read(|snap| Off::of(snap))?;
    let all = places::actions(who, &off).into_iter();
    let fits = all.filter(|place| wanted.as_ref().is_none_or(|wanted| place.fits(wanted)));
    offer.add("Actions", fits.map(|place| of_place(ws, place, wanted.as_ref())).collect());
    if let Some(wanted) = &wanted {
        offer.add("Agents", of_agents(ws, who, wanted)?);
    }
    offer.add("Runs", of_runs(ws, who, wanted.as_ref())?);
    Ok(offer)
}

async fn of_kinds(ws: &Ws, who: &Person, words: &str, kinds: &[Kind]) -> Result<Offer, StoreError> {
    let mut offer = Offer::default();
    if Wanted::of(words).is_none() {
        for kind in kinds {
            let hits = ws.read(|snap| all_of(snap, *kind))?;
            offer.add(kind.label(), hits.into_iter().map(|hit| line(ws, hit)).collect());
        }
        return Ok(offer);
    }
    let wish = SearchRequest {
        words: words.to_owned(),
        kinds: kinds.to_vec(),
        status: None,
        skip: 0,
        take: LIST,
        each: Some(LIST),
        patience: PATIENCE,
    };
    let page = find(ws, who, wish).await?;
    (offer.guessed, offer.building) = (page.guessed, page.building);
    group(ws, &mut offer, page.hits);
    Ok(offer)
}

/// First records of a kind that has few.
fn all_of(snap: &Snap<'_>, kind: Kind) -> Result<Vec<Hit>, StoreError> {
    let keys: Vec<Vec<u8>> = match kind {
        Kind::Agent => {
            let all = agents::all(snap)?.into_iter().take(LIST);
            all.map(|agent| KeyBuf::of(&agent.id).into_bytes()).collect()
        }
        Kind::Person => {
            let all = workspace::members(snap)?.into_iter().take(LIST);
            all.map(|member| KeyBuf::of(&member.account).into_bytes()).collect()
        }
        _ => match kind.table() {
            Some(table) => super::first_keys(snap, table, LIST)?,
            None => Vec::new(),
        },
    };
    let mut reader = Reader::new(snap);
    let mut hits = Vec::new();
    for key in keys {
        let found = Found { kind, key };
        let Some(document) = reader.document(&found)? else { continue };
        let mut hit = Hit::of(&found, document);
        view::fill(snap, &mut hit, None)?;
        hits.push(hit);
    }
    Ok(hits)
}

async fn everything(ws: &Ws, who: &Person, words: &str) -> Result<Offer, StoreError> {
    let mut offer = Offer::default();
    let named = ws.read(|snap| view::of_name(snap, words))?;
    let first = named.as_ref().map(|hit| hit.path.clone());
    offer.add("Go to", named.into_iter().map(|hit| line(ws, hit)).collect());
    let wish = SearchRequest {
        words: words.to_owned(),
        kinds: Vec::new(),
        status: None,
        skip: 0,
        take: GROUP * Kind::all().count(),
        each: Some(GROUP),
        patience: PATIENCE,
    };
    let page = find(ws, who, wish).await?;
    (offer.guessed, offer.building) = (page.guessed, page.building);
    let others = page.hits.into_iter().filter(|hit| Some(&hit.path) != first.as_ref());
    group(ws, &mut offer, others.collect());
    if let Some(wanted) = Wanted::of(words) {
        let fits = |all: Vec<&'static Place>| -> Vec<Line> {
            let all = all.into_iter().filter(|place| place.fits(&wanted)).take(GROUP);
            all.map(|place| of_place(ws, place, Some(&wanted))).collect()
        };
        let off = ws.read(|snap| Off::of(snap))?;
        let is_far = || ws.read(|snap| vectors::chosen(snap)).map(|chosen| chosen.is_some());
        let is_meant = MEANT <= words.trim().chars().count() && !off.has_page("knowledge");
        if is_meant && (ws.app.meaning.is_on() || is_far()?) {
            let q = format::query_value(words.trim());
            offer.nearest = ws.url(&format!("knowledge/near?q={q}"));
        }
        offer.add("Pages", fits(places::pages(who, &off)));
        offer.add("Actions", fits(places::actions(who, &off)));
        // A name alone finds the agent; together with a verb it finds the action.
        let verb = words.split_whitespace().next().unwrap_or_default().to_lowercase();
        if ["pause", "resume"].contains(&verb.as_str()) {
            offer.add("Agents", of_agents(ws, who, &wanted)?.into_iter().take(GROUP).collect());
        }
        if verb == "stop" {
            let runs = of_runs(ws, who, Some(&wanted))?;
            offer.add("Runs", runs.into_iter().take(GROUP).collect());
        }
        offer.add(
            "Search",
            vec![Line {
                glyph: "search",
                state: "",
                face: None,
                title: view::marked(&format!("All results for “{}”", words.trim()), None),
                meta: String::new(),
                snippet: SafeHtml::default(),
                href: ws.url(&format!("search?q={}", format::query_value(words.trim()))),
                press: "",
                post: String::new(),
            }],
        );
    }
    Ok(offer)
}

/// Groups hits by kind, the kind of the best hit first.
fn group(ws: &Ws, offer: &mut Offer, hits: Vec<Hit>) {
    let mut kinds: Vec<Kind> = Vec::new();
    for hit in &hits {
        if !kinds.contains(&hit.kind) {
            kinds.push(hit.kind);
        }
    }
    let mut rest = hits;
    for kind in kinds {
        let (mine, others): (Vec<Hit>, Vec<Hit>) =
            rest.into_iter().partition(|hit| hit.kind == kind);
        offer.add(kind.label(), mine.into_iter().map(|hit| line(ws, hit)).collect());
        rest = others;
    }
}

fn line(ws: &Ws, hit: Hit) -> Line {
    Line {
        glyph: hit.glyph(),
        state: hit.state,
        title: hit.marked,
        meta: if hit.archived { format!("{} · archived", hit.meta) } else { hit.meta },
        snippet: hit.snippet,
        href: ws.url(&hit.path),
        face: hit.face,
        press: "",
        post: String::new(),
    }
}

fn of_place(ws: &Ws, place: &Place, wanted: Option<&Wanted>) -> Line {
    Line {
        glyph: place.glyph,
        state: "",
        face: None,
        title: view::marked(place.title, wanted),
        meta: if place.part == "Settings" { "Settings" } else { "" }.to_owned(),
        snippet: SafeHtml::default(),
        href: ws.url(place.path),
        press: place.press,
        post: String::new(),
    }
}

/// Agents that this person can pause or resume.
fn of_agents(ws: &Ws, who: &Person, wanted: &Wanted) -> Result<Vec<Line>, StoreError> {
    if !who.access.may(Can::Agents) {
        return Ok(Vec::new());
    }
    let all = ws.read(|snap| agents::all(snap))?;
    let called = Called::among(&all);
    let here = all.into_iter().filter(|agent| agent.archived_at.is_none());
    let line = |agent: Agent| {
        let (verb, path, glyph) = match agent.status {
            AgentStatus::Paused => ("Resume", "resume", "play"),
            AgentStatus::Ready => ("Pause", "pause", "pause"),
            _ => return None,
        };
        let title = format!("{verb} {}", called.name(&agent));
        let base = ws.url(&format!("agents/{}", agent.slug));
        wanted.is_in(&[title.as_str()]).then(|| Line {
            meta: "Agent".to_owned(),
            ..deed(glyph, view::marked(&title, Some(wanted)), base, path)
        })
    };
    Ok(here.filter_map(line).take(LIST).collect())
}

/// Runs that this person can stop, newest first.
fn of_runs(ws: &Ws, who: &Person, wanted: Option<&Wanted>) -> Result<Vec<Line>, StoreError> {
    if !who.access.may(Can::Chat) {
        return Ok(Vec::new());
    }
    ws.read(|snap| {
        let mut live = runs::live(snap)?;
        live.retain(Run::can_stop);
        live.sort_by_key(|run| std::cmp::Reverse(run.number));
        let mut lines = Vec::new();
        for run in live {
            if lines.len() == LIST {
                break;
            }
            if !talk::may_see_run(snap, &run, who.account, who.role)? {
                continue;
            }
            let title = talk::title_for(snap, &run, who.account)?;
            let title = format!("Stop {} {title}", run.name());
            let agent = match snap.get::<Agent>(run.agent)? {
                Some(agent) => agents::called(snap, &agent)?,
                None => String::new(),
            };
            if wanted.is_none_or(|wanted| wanted.is_in(&[title.as_str(), agent.as_str()])) {
                let href = ws.url(&format!("runs/{}", run.name()));
                let line = deed("stop", view::marked(title.trim_end(), wanted), href, "stop");
                lines.push(Line { meta: agent, ..line });
            }
        }
        Ok(lines)
    })
}

/// A line that posts a form to a path below a page's URL.
fn deed(glyph: &'static str, title: SafeHtml, href: String, path: &str) -> Line {
    Line {
        glyph,
        state: "",
        face: None,
        title,
        meta: String::new(),
        snippet: SafeHtml::default(),
        post: format!("{href}/{path}"),
        href,
        press: "",
    }
}
