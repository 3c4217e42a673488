//! Audit queries: URL parameters and their translation into a search.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backups::queries as backups;
use crate::cards;
use crate::runs::{model::Run, queries as runs};
use crate::tasks::queries::{self as tasks, people::People};
use crate::users::model::{ACCOUNTS, TOKENS, WORKSPACES};
use crate::workspace::queries as workspace;
use app::Ws;
use kernel::day::{self, Toward};
use kernel::{
    AccountId, Actor, Assignee, Cause, Event, RoutineId, RunId, Timestamp, Via, WorkspaceId,
};
use store::audit::{Found, Search, search};
use store::{Change, Cursor, Entry, Root, Store, StoreError};

use super::super::rules::AuditError;
use super::through::{self, Begun};

/// Time limit of the search for one page.
const WITHIN: Duration = Duration::from_millis(1_000);

/// Feed to search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The workspace's feed.
    #[default]
    Workspace,
    /// The system feed: sign-ins, tokens and accounts of members, and changes of workspaces and backups.
    Accounts,
}

/// What stands behind the question mark. Empty words are the same as none.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditParams {
    /// `workspace` (default), or `accounts` for sign-ins, tokens and accounts of its members, and for
    /// what became of workspaces and backups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only one record: `MC-12`, `R-7`, `@ada`, `stream:Launch`, `routine:Morning look`, or a table and an id
    /// such as `agents 0190…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Only theirs: `people`, `agents`, `system`, `me`, or a handle or slug such as `ada`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Only for this reason: `request`, `step`, `routine`, `consumer`, `undo`, `import`, `job`,
    /// `retention`, `migration`, `setup`, `timer`, `restore`; or for one request, job or undo by its id,
    /// such as `request 3f2a…` or `undo 17`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Only entries with this kind of event, such as `task.created`; `task.*` is all of a noun, and commas
    /// stand between several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Only what was done by this run: `R-7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Only what this routine did and what the runs did that it began: its name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routine: Option<String>,
    /// Only from this day on, or from this moment on (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only up to the end of this day, or up to this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Go on before this cursor, as it came in `next`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// 1 to 200 (API).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl AuditParams {
    /// Drops empty values, which forms send.
    #[must_use]
    pub fn tidy(self) -> Self {
        let word = |text: Option<String>| {
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Self {
            source: word(self.source).filter(|source| source == "accounts"),
            record: word(self.record),
            by: word(self.by),
            cause: word(self.cause),
            event: word(self.event),
            run: word(self.run),
            routine: word(self.routine),
            from: word(self.from),
            to: word(self.to),
            before: word(self.before),
            limit: self.limit,
        }
    }

    /// As a URL query string.
    #[must_use]
    pub fn query(&self) -> String {
        serde_urlencoded::to_string(self).unwrap_or_default()
    }

    #[must_use]
    pub fn source(&self) -> Source {
        match self.source.as_deref() {
            Some("accounts") => Source::Accounts,
            _ => Source::Workspace,
        }
    }

    /// Returns `true` if there is any filter.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        let what = [&self.record, &self.by, &self.cause, &self.event, &self.run, &self.routine];
        what.into_iter().chain([&self.from, &self.to]).any(Option::is_some)
    }
}

/// Actor filter.
#[derive(Clone, Copy, Debug)]
enum Who {
    People,
    Agents,
    System,
    One(Assignee),
}

impl Who {
    fn is(self, actor: Actor) -> bool {
        match (self, actor) {
            (Self::People, Actor::Person { .. }) | (Self::Agents, Actor::Agent { .. }) => true,
            (Self::System, Actor::System(_) | Actor::Plugin(_) | Actor::Gateway(_)) => true,
            (Self::One(Assignee::Person(id)), actor) => actor.account() == Some(id),
            (Self::One(Assignee::Agent(id)), actor) => actor.agent() == Some(id),
            _ => false,
        }
    }
}

/// Cause filter.
#[derive(Clone, Copy, Debug)]
enum Because {
    /// Any cause of a kind, by its word.
    Any(&'static str),
    One(Cause),
}

impl Because {
    fn is(self, cause: Cause) -> bool {
        match self {
            Self::Any(word) => cause_word(cause) == word,
            Self::One(one) => cause == one,
        }
    }
}

/// A parsed query.
pub struct AuditQuery {
    pub source: Source,
    pub(super) record: Option<Root>,
    /// Records that belong to the requested record and match as well. `None` if only the record itself matches.
    pub(super) parts: Option<Vec<Root>>,
    who: Option<Who>,
    cause: Option<Because>,
    /// Kinds of events. Empty means any.
    events: Vec<&'static str>,
    pub(super) run: Option<RunId>,
    pub(super) routine: Option<RoutineId>,
    since: Option<i64>,
    until: Option<i64>,
    before: Option<u64>,
    members: BTreeSet<AccountId>,
    /// The workspace of the request.
    here: WorkspaceId,
    /// Time zone for display.
    pub(super) zone: TimeZone,
    /// Workspaces about which system entries may be shown. `None` means all.
    places: Option<BTreeSet<WorkspaceId>>,
    /// Workspaces whose values in system entries may be shown. `None` means all.
    of_values: Option<BTreeSet<WorkspaceId>>,
}

impl AuditQuery {
    /// Parses the parameters with dates in this time zone. Without an account, the machine's owner asks.
    ///
    /// # Errors
    /// Names the invalid word.
    pub fn new(
        ws: &Ws,
        params: &AuditParams,
        (by, zone): (Option<AccountId>, &TimeZone),
    ) -> Result<Self, AuditError> {
        let source = params.source();
        let places = match by.filter(|_| source == Source::Accounts) {
            Some(account) => places(ws, account)?,
            None => None,
        };
        let (people, members) = ws.read(|snap| {
            let members = workspace::members(snap)?;
            let members = members.into_iter().map(|member| member.account).collect();
            Ok::<_, StoreError>((People::read(snap)?, members))
        })?;
        let store = store_of(ws, source);
        let before = params.before.as_deref().map(|text| cursor(store, text)).transpose()?;
        let today = ws.app.clock.now().to_zoned(zone.clone()).date();
        let at = |field, text: &str| moment(field, text, (zone, today));
        let since = params.from.as_deref().map(|text| at("from", text)).transpose()?;
        let until = params.to.as_deref().map(|text| at("to", text)).transpose()?;
        if since.zip(until).is_some_and(|(since, until)| until < since) {
            return Err(AuditError::field("to", "Choose an end after the start."));
        }
        Ok(Self {
            source,
            record: params.record.as_deref().map(|text| record(ws, source, text)).transpose()?,
            parts: None,
            who: params.by.as_deref().map(|text| who(&people, text, by)).transpose()?,
            cause: params.cause.as_deref().map(because).transpose()?,
            events: kinds(params.event.as_deref().unwrap_or_default())?,
            run: params.run.as_deref().map(|text| through::run(ws, text)).transpose()?,
            routine: params
                .routine
                .as_deref()
                .map(|text| through::routine(ws, text))
                .transpose()?,
            since,
            until,
            before,
            members,
            here: ws.id,
            zone: zone.clone(),
            of_values: places.clone(),
            places,
        })
    }

    /// Restricts the query to the caller's channel: a token is for one workspace and sees no values about others,
    /// whatever its owner may see.
    #[must_use]
    pub fn through(self, via: Via) -> Self {
        let of_values = match via {
            Via::Token(_) => Some(BTreeSet::from([self.here])),
            _ => self.of_values,
        };
        Self { of_values, ..self }
    }

    /// Searches a page of entries.
    pub fn search(&self, ws: &Ws, limit: usize) -> Result<Found, StoreError> {
        self.search_before(ws, self.before, limit)
    }

    /// Like `search`, for entries before this one.
    pub fn search_before(
        &self,
        ws: &Ws,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let begun = Begun::new(ws, self.routine);
        let records = self.record.iter().chain(self.parts.iter().flatten());
        let records: Vec<Root> = records.cloned().collect();
        let wish = Search {
            records: &records,
            before,
            since: self.since,
            until: self.until,
            limit,
            within: WITHIN,
            by: &|actor| self.who.is_none_or(|who| who.is(actor)),
            wanted: &|entry| self.is_wanted(entry) && begun.covers(entry),
        };
        let mut found = search(store_of(ws, self.source), &wish)?;
        begun.worked()?;
        found.entries.iter_mut().for_each(|entry| self.trim(entry));
        Ok(found)
    }

    /// Removes changes and events about workspaces that the viewer may not see.
    pub fn trim(&self, entry: &mut Entry) {
        entry.changes.retain(|change| self.may_name(change));
        entry.events.retain(|event| self.may_tell(event));
    }

    fn may_name(&self, change: &Change) -> bool {
        let known = |places: &BTreeSet<WorkspaceId>| {
            let id = kernel::key::decode::<WorkspaceId>(&change.key);
            id.is_some_and(|id| places.contains(&id))
        };
        self.source == Source::Workspace
            || change.table != WORKSPACES.number
            || self.places.as_ref().is_none_or(known)
    }

    /// Returns `true` if the viewer may read the values of a system record: members of this workspace, tokens for it,
    /// and workspaces that the viewer belongs to.
    pub(super) fn may_read_values(&self, record: &Root, fields: &Map<String, Value>) -> bool {
        let Some(places) = &self.of_values else { return true };
        let named = |name: &str| fields.get(name)?.as_str()?.parse::<WorkspaceId>().ok();
        match record.table {
            t if t == ACCOUNTS.number => {
                let account = kernel::key::decode::<AccountId>(&record.key);
                account.is_some_and(|id| self.members.contains(&id))
            }
            t if t == WORKSPACES.number => named("id").is_some_and(|id| places.contains(&id)),
            t if t == TOKENS.number => named("workspace") == Some(self.here),
            _ => false,
        }
    }

    fn may_tell(&self, event: &Event) -> bool {
        let Some(places) = self.places.as_ref().filter(|_| self.source == Source::Accounts) else {
            return true;
        };
        match event {
            Event::WorkspaceAdded { workspace, .. }
            | Event::WorkspaceStateChanged { workspace, .. }
            | Event::WorkspaceRemoved { workspace, .. } => places.contains(workspace),
            // A backup holds all workspaces and names those it could not read.
            Event::BackupMade { .. } | Event::BackupFailed { .. } | Event::MasterKeyChanged(..) => {
                false
            }
            Event::RecordRedacted { table, key } => {
                let account = kernel::key::decode::<AccountId>(key);
                *table == ACCOUNTS.number && account.is_some_and(|id| self.members.contains(&id))
            }
            _ => true,
        }
    }

    /// Tests an entry against the filters, except position, time and the routine of its run.
    fn is_wanted(&self, entry: &Entry) -> bool {
        self.who.is_none_or(|who| who.is(entry.actor))
            && self.cause.is_none_or(|because| because.is(entry.cause))
            && (self.events.is_empty()
                || entry.events.iter().any(|e| self.events.contains(&cards::event_name(e))))
            && self.run.is_none_or(|run| through::run_of(entry) == Some(run))
            && (self.source == Source::Workspace
                || self.is_about_the_whole(entry)
                || (self.is_about_a_member(entry) && self.leaves_something(entry)))
    }

    /// Returns `true` for entries about whole workspaces or all of them, also by HQ itself, and about removed history.
    /// The viewer may see these.
    fn is_about_the_whole(&self, entry: &Entry) -> bool {
        let whole = |event: &Event| {
            matches!(
                event,
                Event::WorkspaceAdded { .. }
                    | Event::WorkspaceStateChanged { .. }
                    | Event::WorkspaceRemoved { .. }
                    | Event::BackupMade { .. }
                    | Event::BackupFailed { .. }
                    | Event::Restored { .. }
                    | Event::MasterKeyChanged(..)
                    | Event::RecordRedacted { .. }
            )
        };
        entry.events.iter().any(|event| whole(event) && self.may_tell(event))
    }

    /// Like `is_wanted`, with position and time, for sequential scans. The routine of a run is tested by [`Begun`] from
    /// [`AuditQuery::begun`].
    #[must_use]
    pub fn covers(&self, entry: &Entry) -> bool {
        let names = |record: &Root| {
            entry.touches(record) || (self.parts.is_some() && entry.roots.contains(record))
        };
        self.since.is_none_or(|since| since <= entry.at)
            && self.until.is_none_or(|until| entry.at <= until)
            && self.before.is_none_or(|before| entry.seq < before)
            && self.record.as_ref().is_none_or(names)
            && self.is_wanted(entry)
    }

    /// Tests whether a run was started by the requested routine.
    #[must_use]
    pub fn begun<'w>(&self, ws: &'w Ws) -> Begun<'w> {
        Begun::new(ws, self.routine)
    }

    #[must_use]
    pub fn before(&self) -> Option<u64> {
        self.before
    }

    fn leaves_something(&self, entry: &Entry) -> bool {
        entry.changes.iter().any(|change| self.may_name(change))
            || entry.events.iter().any(|event| self.may_tell(event))
    }

    /// Accounts that are no members of this workspace must not be shown.
    fn is_about_a_member(&self, entry: &Entry) -> bool {
        let mine =
            |account: Option<AccountId>| account.is_some_and(|id| self.members.contains(&id));
        let member_of = |event: &Event| match event {
            Event::SignedIn { account, .. } | Event::SignedOut { account, .. } => Some(*account),
            _ => None,
        };
        let own = |key: &[u8]| kernel::key::decode::<AccountId>(key);
        mine(entry.actor.account())
            || entry.events.iter().any(|event| mine(member_of(event)))
            || entry.changes.iter().any(|c| c.table == ACCOUNTS.number && mine(own(&c.key)))
    }
}

/// Workspaces of an account. `None` if it administers all of them.
fn places(ws: &Ws, account: AccountId) -> Result<Option<BTreeSet<WorkspaceId>>, StoreError> {
    if backups::may_manage(&ws.app, account)? {
        return Ok(None);
    }
    let all: Vec<Ws> = ws.app.workspaces.read().clone();
    let mut own = BTreeSet::new();
    for place in all {
        if place.read(|snap| workspace::member(snap, account))?.is_some() {
            own.insert(place.id);
        }
    }
    Ok(Some(own))
}

#[must_use]
pub(super) fn store_of(ws: &Ws, source: Source) -> &Store {
    match source {
        Source::Workspace => &ws.store,
        Source::Accounts => &ws.app.system,
    }
}

fn cursor(store: &Store, text: &str) -> Result<u64, AuditError> {
    let cursor = text.parse::<Cursor>();
    let cursor = cursor.map_err(|_| AuditError::field("before", "use `next` unchanged"))?;
    match cursor.incarnation == store.incarnation() {
        true => Ok(cursor.seq),
        false => Err(AuditError::OtherLife),
    }
}

/// Record given by name, or by table and id.
fn record(ws: &Ws, source: Source, text: &str) -> Result<Root, AuditError> {
    let schema = store_of(ws, source).schema();
    let split = text.split_once([' ', ':', '/']);
    if let Some((table, id)) = split {
        if let Some(found) = through::named(ws, table, id.trim())? {
            return Ok(found);
        }
        let info = schema.named(table).filter(|info| info.ops.is_some()).ok_or_else(|| {
            AuditError::field("record", format!("there is no table `{table}`; try tasks or agents"))
        })?;
        let key = info.key_of(id.trim());
        let key = key.ok_or_else(|| AuditError::field("record", format!("`{id}` isn't an ID")))?;
        return Ok(Root { table: info.number, key });
    }
    let found = ws.read(|snap| {
        if let Some(run) = runs::by_name(snap, text)? {
            return Ok(Some(Root::of::<Run>(run.id)));
        }
        if let Ok(task) = tasks::resolve(snap, text) {
            return Ok(Some(Root::of::<crate::tasks::model::Task>(task.id)));
        }
        let agent = crate::agents::queries::by_slug(snap, text.trim_start_matches('@'))?;
        let agent = agent.map(|a| Root::of::<crate::agents::model::Agent>(a.id));
        Ok::<_, StoreError>(agent)
    })?;
    found.ok_or_else(|| no_record(text))
}

pub(super) fn no_record(text: &str) -> AuditError {
    let text = format!("`{text}` is unknown; enter MC-12, R-7, or a table and an ID");
    AuditError::field("record", text)
}

/// Parses event kinds; `task.*` means all of a noun.
fn kinds(text: &str) -> Result<Vec<&'static str>, AuditError> {
    let mut all = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let is_meant = |name: &str| match word.strip_suffix('*') {
            Some(stem) => name.starts_with(stem),
            None => name == word,
        };
        let found: Vec<&str> = cards::event_names().filter(|name| is_meant(name)).collect();
        if found.is_empty() {
            let text = format!("`{word}` isn't an event; try task.created or task.*");
            return Err(AuditError::field("event", text));
        }
        all.extend(found);
    }
    Ok(all)
}

fn who(people: &People, text: &str, me: Option<AccountId>) -> Result<Who, AuditError> {
    let me = me.map_or(Assignee::System, Assignee::Person);
    Ok(match text {
        "people" => Who::People,
        "agents" => Who::Agents,
        "system" => Who::System,
        text => {
            let found = people.find(text, me);
            let found = found.map_err(|error| AuditError::field("by", error.to_string()))?;
            Who::One(found.ok_or_else(|| AuditError::field("by", "enter a handle or slug"))?)
        }
    })
}

/// Parses a cause, or a kind of cause with an id.
fn because(text: &str) -> Result<Because, AuditError> {
    let wrong = |text: String| AuditError::field("cause", text);
    let (word, id) = text.split_once([' ', ':', '/']).unwrap_or((text, ""));
    // The only jobs are backups, and pages call them so.
    let word = if word == "backup" { "job" } else { word };
    let known = CAUSES.iter().find(|cause| cause.0 == word).ok_or_else(|| {
        let all: Vec<_> = CAUSES.iter().map(|cause| cause.0).collect();
        wrong(format!("`{word}` isn't a cause; choose from {}", all.join(", ")))
    })?;
    let one = match (word, id.trim()) {
        (_, "") => return Ok(Because::Any(known.0)),
        ("request", id) => {
            let bytes = hex::decode(id.replace('-', "")).ok();
            bytes.and_then(|bytes| bytes.try_into().ok()).map(Cause::Request)
        }
        ("job", id) => id.parse().ok().map(Cause::Job),
        ("undo", id) => id.parse().ok().map(Cause::Undo),
        _ => {
            let text = format!("only requests, backups and undos have an ID; enter only `{word}`");
            return Err(wrong(text));
        }
    };
    one.map(Because::One).ok_or_else(|| wrong(format!("`{}` isn't an ID of this kind", id.trim())))
}

/// Parses a moment or the start or end of a day, in milliseconds.
fn moment(
    field: &'static str,
    text: &str,
    (zone, today): (&TimeZone, Date),
) -> Result<i64, AuditError> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let wrong = || AuditError::field(field, day::WANTED);
    let day = day::read(text, today, Toward::Back).ok_or_else(wrong)?;
    let start = |day: Date| day.to_zoned(zone.clone()).map(|at| at.timestamp().as_millisecond());
    let at = match field {
        "to" => day.tomorrow().and_then(start).map(|at| at - 1),
        _ => start(day),
    };
    at.map_err(|_| wrong())
}

/// Causes that can be queried: word and label.
pub const CAUSES: [(&str, &str); 12] = [
    ("request", "A request"),
    ("step", "A step of a run"),
    ("routine", "A routine"),
    ("consumer", "A consumer"),
    ("undo", "An undo"),
    ("import", "An import"),
    ("job", "A backup"),
    ("retention", "Retention"),
    ("migration", "A migration"),
    ("setup", "Set-up"),
    ("timer", "A timer"),
    ("restore", "A restore"),
];

/// API word of a cause.
#[must_use]
pub fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Request(_) => "request",
        Cause::Step(..) => "step",
        Cause::Routine(..) => "routine",
        Cause::Consumer(_) => "consumer",
        Cause::Undo(_) => "undo",
        Cause::Import(_) => "import",
        Cause::Job(_) => "job",
        Cause::Retention => "retention",
        Cause::Migration(_) => "migration",
        Cause::Setup => "setup",
        Cause::Timer => "timer",
        Cause::Restore => "restore",
    }
}
