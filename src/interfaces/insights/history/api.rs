//! `/api/v1/history` and `/api/v1/undo`.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use app::Ws;
use features::tasks::queries::brief;
use features::tasks::queries::json::WhoView;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use kernel::{Can, Timestamp};
use store::history::{Image, Version};
use store::undo::Basis;
use store::{Op, Root, Snap};
use web::error::ApiError;
use web::extract::{Json, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use super::pages::run_called;
use features::history::queries::error::HistoryError;
use features::history::queries::fields::{FieldDiff, Speaker};
use features::history::queries::guard::Undoer;
use features::history::queries::names::Names;
use features::history::queries::outlook::Outlook;
use features::history::queries::preview::{self, StayingField};
use features::history::queries::readable::Looker;
use features::history::queries::scope::{self, Wanted};
use features::history::queries::versions::{self, Bounds, Stretch, fields_of};
use features::history::queries::{id_text, is_only_one, next_place, place, record};
use features::history::rules::{self, Undone};
use features::history::undo;

/// Maximum number of records of each kind in a preview.
const MAX_TOLD: usize = 1_000;
/// A page of versions ends after about this many bytes.
const ENOUGH: usize = 2 << 20;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/history/{table}/{id}",
            history.needs(Can::Read).doc(|| {
                Doc::new(
                    "History of a record, newest first. Tables: tasks, comments, reactions, \
                     task_links, streams, labels, \
                     task_labels, task_relations, series, occurrences, task_templates, views, \
                     deliverables, deliverable_versions, reviews, task_files, contacts, organizations, \
                     collections, records, fields, interactions, suggestions, knowledge_items, \
                     knowledge_folders, knowledge_bodies, knowledge_versions, knowledge_suggestions, \
                     model_choices, vector_sources, knowledge_marks, sources, \
                     source_items, channels, channel_people, \
                     channel_rooms, channel_routes, channel_messages, channel_deliveries, \
                     search_engines, skills, skill_lists, mcp_servers, mcp_tools, secrets, secret_masks, secret_uses, gateways, gateway_tokens, agent_places, agents, agent_reach, agent_browsers, browser_policies, trust_modes, permissions, \
                     inbox_paces, \
                     routines, members, invites, connections, connection_keys, \
                     connection_spare_keys, connection_windows, model_fallbacks, budgets, prices, \
                     run_limits, inbox, runs; settings, brand, task_rules, routine_rules, mail_settings, retention, \
                     people, usual_thinking and subagent_limits (id `-`). Includes deleted records",
                )
                .query::<HistoryParams>()
                .returns::<Versions>()
            }),
        )
        .post(
            "/undo/preview",
            preview.needs(Can::Write).doc(|| {
                Doc::new("Preview of an undo; changes nothing")
                    .body::<UndoBody>()
                    .returns::<Preview>()
            }),
        )
        .post(
            "/undo",
            apply.needs(Can::Write).doc(|| {
                Doc::new(
                    "Undo a change of one record, a whole entry, or a run. With the `basis` of a \
                     preview, only if the result is still the same; otherwise 409 with a fresh \
                     `preview`",
                )
                .body::<UndoBody>()
                .returns::<UndoneView>()
            }),
        )
}

// ── History ──

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryParams {
    /// The `next` of the page before.
    before: Option<String>,
    /// 1 to 100; 25 unless said otherwise. A page ends earlier behind about 2 MB.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct FieldView {
    field: String,
    /// What people call it.
    label: String,
    before: Value,
    after: Value,
}

impl FieldView {
    fn of(fields: Vec<FieldDiff>) -> Vec<Self> {
        let views = fields.into_iter().map(|field| {
            let (before, after) = field.raw;
            Self { field: field.name, label: field.label, before, after }
        });
        views.collect()
    }
}

/// A version of a record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordVersion")]
struct VersionView {
    /// The entry of the feed that made it.
    seq: u64,
    #[schemars(with = "String")]
    at: Timestamp,
    /// Who.
    actor: WhoView,
    /// Through what: a sign-in, a token, a command, a run.
    through: String,
    /// The entry that it undid.
    undo_of: Option<u64>,
    /// `insert`, `update` or `delete`.
    op: &'static str,
    /// The record before; null when there was none or it is not kept.
    before: Option<Map<String, Value>>,
    /// The record afterwards; null when there is none or it is not kept.
    after: Option<Map<String, Value>>,
    /// `gone` when the values were removed by age or on purpose, `untold` when such records keep none.
    missing: Option<&'static str>,
    /// What differs.
    fields: Vec<FieldView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "History")]
struct Versions {
    items: Vec<VersionView>,
    /// Give this back as `before`.
    next: Option<String>,
}

fn op_word(op: Op) -> &'static str {
    match op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    }
}

async fn history(
    ws: Ws,
    who: Person,
    Path2(table, id): Path2<String, String>,
    Query(params): Query<HistoryParams>,
) -> Result<Json<Versions>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let named = (table, id);
    Ok(Json(
        ws.read_blocking(move |ws| version_page(ws, &who, &named, (params.before, limit))).await?,
    ))
}

/// Reads a page of a record's versions. May be slow, so it runs on a blocking thread.
fn version_page(
    ws: &Ws,
    who: &Person,
    (table, id): &(String, String),
    (before, limit): (Option<String>, usize),
) -> Result<Versions, HistoryError> {
    let before = place(&ws.store, before.as_deref())?;
    ws.read(|snap| {
        let schema = ws.store.schema();
        let record = record(snap, schema, who, (table, id))?;
        let (teller, whose) = (Teller::new(ws, snap)?, (Looker::of(who), &record));
        let bounds = Bounds { before, limit, enough: ENOUGH };
        let part = versions::stretch(snap, schema, whose, bounds, |version| {
            let view = teller.version(&record, &version)?;
            let size = serde_json::to_vec(&view).map_or(0, |text| text.len());
            Ok::<_, HistoryError>((view, size))
        })?;
        let Stretch { results: items, last, next } = part.ok_or(HistoryError::BadCursor)?;
        if last.is_none() && before.is_none() && !is_only_one(&record) {
            return Err(HistoryError::NotFound(id.clone()));
        }
        Ok(Versions { items, next: next.map(|seq| next_place(&ws.store, seq)) })
    })
}

/// Formats versions of one snapshot.
struct Teller<'a> {
    ws: &'a Ws,
    names: Names<'a>,
    people: brief::Names,
}

impl<'a> Teller<'a> {
    fn new(ws: &'a Ws, snap: &'a Snap<'a>) -> Result<Self, HistoryError> {
        let (names, people) = (Names::new(snap)?, brief::Names::read(snap)?);
        Ok(Self { ws, names, people })
    }

    fn speaker(&self) -> Speaker<'_> {
        Speaker { names: &self.names, zone: TimeZone::UTC }
    }

    fn version(&self, record: &Root, version: &Version) -> Result<VersionView, HistoryError> {
        let schema = self.ws.store.schema();
        let description = versions::describe(&self.speaker(), schema, record.table, version)?;
        let (actor, cause) = (version.actor, version.cause);
        let by = versions::byline(&self.ws.app, &self.names, actor, cause)?;
        let missing = match (&version.before, &version.after) {
            (Image::Untold, _) | (_, Image::Untold) => Some("untold"),
            (Image::Gone, _) | (_, Image::Gone) => Some("gone"),
            _ => None,
        };
        Ok(VersionView {
            seq: version.seq,
            at: version.at,
            actor: WhoView::actor(&self.people, actor),
            through: by.through.text,
            undo_of: by.undo_of,
            op: op_word(version.op),
            before: fields_of(schema, record.table, version.before.bytes()),
            after: fields_of(schema, record.table, version.after.bytes()),
            missing,
            fields: FieldView::of(description.fields),
        })
    }
}

// ── Undo ──

/// One change of one record.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// The entry.
    seq: u64,
    table: String,
    id: String,
}

/// What is to be undone: one of `change`, `entry` and `run`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UndoBody {
    change: Option<ChangeBody>,
    /// The number of an entry of the feed.
    entry: Option<u64>,
    /// A run by its name (`R-12`) or id; it must have ended.
    run: Option<String>,
    /// Further runs, such as those that the run caused.
    #[serde(default)]
    with: Vec<String>,
    /// The `basis` of a preview: refused when something else would happen now.
    basis: Option<String>,
}

impl UndoBody {
    fn wanted(&self, ws: &Ws, snap: &Snap<'_>, who: &Person) -> Result<Wanted, HistoryError> {
        match (&self.change, self.entry, &self.run) {
            (Some(change), None, None) => {
                let named = (change.table.as_str(), change.id.as_str());
                Ok(Wanted::Change(change.seq, record(snap, ws.store.schema(), who, named)?))
            }
            (None, Some(seq), None) => Ok(Wanted::Entry(seq)),
            (None, None, Some(run)) => {
                let mut all = Vec::new();
                for name in std::iter::once(run).chain(&self.with) {
                    let id = run_called(snap, who, name)?;
                    if !all.contains(&id) {
                        all.push(id);
                    }
                }
                Ok(Wanted::Runs(all))
            }
            _ => Err(HistoryError::Unclear),
        }
    }

    fn basis(&self) -> Result<Option<Basis>, HistoryError> {
        let parsed = self.basis.as_deref().map(str::parse::<Basis>).transpose();
        parsed.map_err(|_| HistoryError::BadBasis)
    }
}

/// A field that stays.
#[derive(Serialize, JsonSchema)]
struct KeptFieldView {
    field: String,
    label: String,
    /// Stable: `changed`, or what the record's own rules answer.
    code: &'static str,
    why: String,
    /// The entry that changed it since.
    seq: Option<u64>,
    #[schemars(with = "Option<String>")]
    at: Option<Timestamp>,
    /// Who changed it since.
    by: Option<WhoView>,
}

/// A record that goes back.
#[derive(Serialize, JsonSchema)]
struct GoingView {
    table: String,
    id: String,
    title: String,
    /// `delete` when it is taken away, `insert` when it comes back, `update` when it changes.
    op: &'static str,
    /// From what it is now to what it would be.
    fields: Vec<FieldView>,
    /// Fields that stay.
    kept: Vec<KeptFieldView>,
}

/// A record that stays.
#[derive(Serialize, JsonSchema)]
struct StayingView {
    table: String,
    id: String,
    title: String,
    /// Stable: `changed`, `deleted`, `gone`, `taken`, `missing_target`, `referenced`, `cycle`,
    /// `unmergeable`, `too_often`, `not_allowed`; or what the record's own rules answer, such as
    /// `comment_not_yours` or `task_archived`.
    code: &'static str,
    why: String,
    /// The entry that changed it since.
    seq: Option<u64>,
    /// Who did.
    by: Option<WhoView>,
    fields: Vec<KeptFieldView>,
}

/// Rows that stay by their nature: what happened, happened.
#[derive(Serialize, JsonSchema)]
struct StaysView {
    table: &'static str,
    /// `log`, `sealed` or `work`.
    class: &'static str,
    count: usize,
}

/// A run that was caused and can be undone with it.
#[derive(Serialize, JsonSchema)]
struct CausedView {
    run: String,
    title: String,
    /// Whether it must be stopped first.
    live: bool,
}

/// Open work or files that stay because you may not take them back.
#[derive(Serialize, JsonSchema)]
struct HeldView {
    /// Stable: `needs_chat`, `message_not_yours`, `needs_agents`, `comment_not_yours`.
    code: &'static str,
    /// What: "2 messages".
    what: String,
    why: String,
}

/// What an undo would do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UndoPreview")]
struct Preview {
    /// Give this to `POST /undo`.
    basis: String,
    /// Records that go back; at most 1,000 are told.
    back: Vec<GoingView>,
    /// How many go back in all.
    back_count: usize,
    /// Records that stay; at most 1,000 are told, and none that you may not look at.
    kept: Vec<StayingView>,
    /// How many stay in all.
    kept_count: usize,
    /// Work and files that stay because of your rights.
    held: Vec<HeldView>,
    stays: Vec<StaysView>,
    /// Open pieces of work that are cancelled.
    cancels: usize,
    /// Runs that are stopped because their work is taken away.
    stops: usize,
    /// Files of the agent that go back where they are as the run left them.
    files: Vec<String>,
    /// Runs that it caused.
    caused: Vec<CausedView>,
}

async fn preview(
    ws: Ws,
    who: Person,
    Json(body): Json<UndoBody>,
) -> Result<Json<Preview>, ApiError> {
    Ok(Json(seen(&ws, who, body).await?))
}

async fn seen(ws: &Ws, who: Person, body: UndoBody) -> Result<Preview, HistoryError> {
    ws.read_blocking(move |ws| ws.read(|snap| foreseen(ws, snap, &who, &body))).await
}

/// Computes the effect of an undo. May be slow, so it runs on a blocking thread.
fn foreseen(
    ws: &Ws,
    snap: &Snap<'_>,
    who: &Person,
    body: &UndoBody,
) -> Result<Preview, HistoryError> {
    let schema = ws.store.schema();
    let (wanted, by) = (body.wanted(ws, snap, who)?, Undoer::of(ws, who)?);
    let outlook = rules::preview(&ws.store, snap, &wanted, &by)?;
    let teller = Teller::new(ws, snap)?;
    let view = preview::view(snap, schema, &teller.speaker(), (&outlook, &by), MAX_TOLD)?;
    let Outlook { scope, plan, work, basis } = outlook;
    let caused = match &wanted {
        Wanted::Runs(all) => scope::caused(snap, schema, all)?,
        _ => Vec::new(),
    };
    Ok(Preview {
        basis: basis.to_string(),
        back: view.going.into_iter().map(|one| teller.going(one)).collect(),
        back_count: plan.rows.len(),
        kept: view.staying.into_iter().map(|one| teller.staying(one)).collect(),
        kept_count: plan.kept.len(),
        held: view
            .work
            .into_iter()
            .map(|held| HeldView { code: held.code, what: held.words, why: held.why })
            .collect(),
        stays: view
            .kinds
            .into_iter()
            .map(|kind| StaysView { table: kind.table, class: kind.class, count: kind.count })
            .collect(),
        cancels: work.items.len() + work.inputs.len(),
        stops: work.stops.len(),
        files: scope.paths().into_iter().collect(),
        caused: caused
            .into_iter()
            .map(|run| CausedView { run: run.name(), live: run.is_live(), title: run.title })
            .collect(),
    })
}

impl Teller<'_> {
    fn place(&self, record: &Root) -> (String, String) {
        let schema = self.ws.store.schema();
        let table = schema.table(record.table).map_or("", |info| info.name);
        (table.to_owned(), id_text(schema, record))
    }

    fn kept(&self, fields: Vec<StayingField>) -> Vec<KeptFieldView> {
        let views = fields.into_iter().map(|field| KeptFieldView {
            field: field.name,
            label: field.label,
            code: field.code,
            why: field.why,
            seq: field.by.map(|by| by.seq),
            at: field.by.map(|by| by.at),
            by: field.by.map(|by| WhoView::actor(&self.people, by.actor)),
        });
        views.collect()
    }

    fn going(&self, one: preview::Going) -> GoingView {
        let (table, id) = self.place(&one.record);
        let (title, op) = (one.title.text, one.way.word());
        let (fields, kept) = (FieldView::of(one.fields), self.kept(one.kept));
        GoingView { table, id, title, op, fields, kept }
    }

    fn staying(&self, one: preview::Staying) -> StayingView {
        let (table, id) = self.place(&one.record);
        StayingView {
            table,
            id,
            title: one.title.text,
            code: one.code,
            why: one.why,
            seq: one.by.map(|by| by.seq),
            by: one.by.map(|by| WhoView::actor(&self.people, by.actor)),
            fields: self.kept(one.fields),
        }
    }
}

/// What was undone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Undone")]
struct UndoneView {
    /// The new entry; undo it to have everything back.
    entry: u64,
    /// How many records went back.
    back: usize,
    /// How many stayed.
    kept: usize,
    /// How many open pieces of work were cancelled.
    cancelled: usize,
    /// How many files are on their way back.
    files: usize,
}

/// An undo request: the result of an earlier request with the same key, or the changes to undo.
enum Order {
    Before(Undone),
    Now(Wanted),
}

async fn apply(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<UndoBody>,
) -> Result<Json<UndoneView>, ApiError> {
    let basis = body.basis()?;
    // A deleted record can no longer be found by name, so a repeated request is recognised by its key first.
    let (known, own, person) = (once.clone(), body.clone(), who.clone());
    let earlier = ws.read_blocking(move |ws| {
        ws.read(|snap| match known.answered(snap)? {
            Some(done) => Ok(Order::Before(done)),
            None => own.wanted(ws, snap, &person).map(Order::Now),
        })
    });
    let done = match earlier.await? {
        Order::Before(done) => Ok(done),
        Order::Now(wanted) => undo::undo(&ws, &who, (wanted, basis), once).await,
    };
    match done {
        Ok(Undone { seq, back, kept, cancelled, files }) => {
            Ok(Json(UndoneView { entry: seq, back, kept, cancelled, files }))
        }
        Err(error @ HistoryError::Differs(_)) => {
            let fresh = seen(&ws, who, body).await?;
            Err(ApiError::from(error).with("preview", &fresh))
        }
        Err(error) => Err(error.into()),
    }
}
