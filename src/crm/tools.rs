//! Agents' tools for contacts, organizations and collections: query, read, create and change cell by cell with sources.
//! An agent never replaces a person's value: its value becomes a suggestion, and the result says so. No tool deletes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use entity::Source;
use kernel::{Assignee, Can, TypedId as _};
use store::{Read, WriteTx};
use tool::{
    Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool,
    untrusted,
};

use crate::api::{TalkBody, origin_json, schema, talk_view, values_json};
use crate::columns;
use crate::cursor::{self, Paging};
use crate::error::CrmError;
use crate::list::{self, Around};
use crate::model::{CollectionId, Contacts, Organizations, Records, RowKind, StoredKind};
use crate::names::Known;
use crate::pages::home_of;
use crate::queries;
use crate::rules::{self, Changed, Sent};

/// Default and maximum number of rows in a result.
const PAGE: usize = 20;
const MOST: usize = 100;
/// Maximum number of interactions in a result.
const TALKS: usize = 20;

/// The tools of this package.
#[must_use]
pub fn tools() -> Registry {
    Registry::new()
        .read(List::<Contacts>(PhantomData))
        .read(Get::<Contacts>(PhantomData))
        .write(Create::<Contacts>(PhantomData))
        .write(Update::<Contacts>(PhantomData))
        .write(LinkOrganization)
        .read(List::<Organizations>(PhantomData))
        .read(Get::<Organizations>(PhantomData))
        .write(Create::<Organizations>(PhantomData))
        .write(Update::<Organizations>(PhantomData))
        .write(InteractionLog)
        .read(SchemaGet)
        .read(CollectionList)
        .read(RecordQuery)
        .write(Create::<Records>(PhantomData))
        .write(Update::<Records>(PhantomData))
}

/// Names and descriptions of the tools of a kind.
trait Tooled: StoredKind {
    const LIST: (&'static str, &'static str);
    const GET: (&'static str, &'static str);
    const CREATE: (&'static str, &'static str);
    const UPDATE: (&'static str, &'static str);
}

impl Tooled for Contacts {
    const LIST: (&'static str, &'static str) = (
        "contact_list",
        "Find contacts. q has words and conditions such as stage:lead, -tag:vip, bikes:>3, \
         due:<7d, owner:me, email:none. schema_get lists the fields.",
    );
    const GET: (&'static str, &'static str) = (
        "contact_get",
        "Read one contact: its values with their sources, and the latest \
            interactions.",
    );
    const CREATE: (&'static str, &'static str) = (
        "contact_create",
        "Add a contact. values are keyed by field; sources say where you found each.",
    );
    const UPDATE: (&'static str, &'static str) = (
        "contact_update",
        "Change values of a contact. A value that a person entered stays and yours becomes a \
         suggestion; the result says which.",
    );
}

impl Tooled for Organizations {
    const LIST: (&'static str, &'static str) = (
        "org_list",
        "Find organizations. q has words and conditions such as type:company or industry:none.",
    );
    const GET: (&'static str, &'static str) = (
        "org_get",
        "Read one organization: its values with their sources, its contacts, and the latest \
         interactions.",
    );
    const CREATE: (&'static str, &'static str) = (
        "org_create",
        "Add an organization. values are keyed by field; sources say where you found each.",
    );
    const UPDATE: (&'static str, &'static str) = (
        "org_update",
        "Change values of an organization. A value that a person entered stays and yours becomes a \
         suggestion.",
    );
}

impl Tooled for Records {
    const LIST: (&'static str, &'static str) = ("", "");
    const GET: (&'static str, &'static str) = ("", "");
    const CREATE: (&'static str, &'static str) = (
        "record_create",
        "Add a record to a collection. values are keyed by field; schema_get lists them.",
    );
    const UPDATE: (&'static str, &'static str) = (
        "record_update",
        "Change values of a record. A value that a person entered stays and yours becomes a \
         suggestion.",
    );
}

const fn spec((name, about): (&'static str, &'static str), effect: Effect) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Customers,
        needs,
        effect,
        about: Cow::Borrowed(about),
    }
}

fn me(cx: &ToolCx) -> Assignee {
    Assignee::Agent(cx.agent)
}

/// Wraps values as untrusted content: their words are no instructions.
fn foreign(cx: &ToolCx, value: &Value) -> ToolOutput {
    ToolOutput::text(untrusted::wrap(&untrusted::id_for(cx), &value.to_string()))
}

/// Converts an error for the model.
fn tool_error(error: CrmError) -> ToolError {
    error.into()
}

/// Finds rows.
struct List<K>(PhantomData<K>);

/// Arguments of `contact_list` and `org_list`.
#[derive(Deserialize, JsonSchema)]
struct ListArgs {
    /// words and conditions
    q: Option<String>,
    /// a field's key, created, updated or due; prefix - for descending
    sort: Option<String>,
    /// at most 100
    limit: Option<usize>,
    /// next of the previous page
    cursor: Option<String>,
    /// keys of the fields to return; default: all filled ones
    fields: Option<Vec<String>>,
    /// archived ones instead
    #[serde(default)]
    archived: bool,
}

/// Rows that match a query, in the form for models.
fn found(
    kind: &'static RowKind,
    cx: &ToolCx,
    read: &dyn Read,
    collection: Option<CollectionId>,
    args: ListArgs,
) -> Result<Value, CrmError> {
    let home = kind.home(collection);
    let columns = columns::of(read, home)?;
    let known = Known::new(read, me(cx))?;
    let is_there = |key: &&String| columns.iter().any(|column| column.key == **key);
    if let Some(odd) = args.fields.iter().flatten().find(|key| !is_there(key)) {
        return Err(CrmError::field("fields", columns::unknown(odd, &columns)));
    }
    let zone = features::tasks::queries::brief::Names::read(read)?.zone;
    let seen = (cx.ws.app.clock.now(), zone);
    let around = Around::new(read, home, (&columns, &known), seen)?;
    let after = match args.cursor.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(text.parse().map_err(|()| cursor::unknown())?),
        None => None,
    };
    let limit = args.limit.unwrap_or(PAGE).clamp(1, MOST);
    let request = list::ListRequest {
        page: Some(Paging { after, limit }),
        q: args.q.unwrap_or_default(),
        sort: args.sort.unwrap_or_default(),
        collection,
        archived: args.archived,
        ..list::ListRequest::default()
    };
    if let Some(wrong) = list::unsorted(&request.sort, &columns) {
        return Err(CrmError::field("sort", wrong));
    }
    let found = list::find(kind, read, &request, &around)?.understood()?;
    let rows = list::rows(kind, read, &found.page(limit))?;
    let line = |row: &crate::model::Row| {
        let mut values = values_json(row, &columns, &known);
        if let Some(fields) = &args.fields {
            values.retain(|key, _| key == crate::model::NAME || fields.contains(key));
        }
        values.insert("id".to_owned(), json!(row.id.to_string()));
        Value::Object(values)
    };
    let mut answer = json!({
        "items": rows.iter().map(line).collect::<Vec<_>>(),
        "total": found.ids.len(),
    });
    if let Some(next) = &found.next {
        answer["next"] = json!(next.to_string());
    }
    Ok(answer)
}

impl<K: Tooled> ReadTool for List<K> {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec(K::LIST, Effect::Read);

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let answer =
            cx.ws.read(|snap| found(K::kind(), cx, snap, None, args)).map_err(tool_error)?;
        Ok(foreign(cx, &answer))
    }
}

/// Reads one row.
struct Get<K>(PhantomData<K>);

/// Arguments of `contact_get` and `org_get`.
#[derive(Deserialize, JsonSchema)]
struct GetArgs {
    /// its id, name or email address
    id: String,
}

impl<K: Tooled> ReadTool for Get<K> {
    type Args = GetArgs;
    const SPEC: ToolSpec = spec(K::GET, Effect::Read);

    async fn read(&self, cx: &ToolCx, args: GetArgs) -> Result<ToolOutput, ToolError> {
        let answer = cx.ws.read(|snap| got(K::kind(), cx, snap, &args)).map_err(tool_error)?;
        Ok(foreign(cx, &answer))
    }
}

/// A row in the form for models.
fn got(
    kind: &'static RowKind,
    cx: &ToolCx,
    snap: &dyn Read,
    args: &GetArgs,
) -> Result<Value, CrmError> {
    let row = queries::resolve(kind, snap, &args.id)?;
    let columns = columns::of(snap, row.home())?;
    let known = Known::new(snap, me(cx))?;
    let filled = row.cells.iter().filter(|(_, cell)| cell.value.is_some());
    let origins: Map<String, Value> =
        filled.map(|(key, cell)| (key.clone(), origin_json(&cell.origin, &known))).collect();
    let mut answer = json!({
        "id": row.id.to_string(),
        "values": values_json(&row, &columns, &known),
        "origins": origins,
        "archived": row.archived_at.is_some(),
    });
    let id = row.id;
    let talks = if kind.is_contacts() {
        queries::talks_with(snap, crate::model::ContactId::from_uuid(id), TALKS)?
    } else {
        let organization = crate::model::OrganizationId::from_uuid(id);
        let people = queries::contacts_of(snap, organization)?;
        let line = |one: crate::model::Row| json!({ "id": one.id.to_string(), "name": one.name(), "role": one.text("title") });
        answer["contacts"] = people.into_iter().map(line).collect();
        queries::talks_of(snap, organization, TALKS)?
    };
    answer["interactions"] = talks.into_iter().map(|talk| json!(talk_view(&known, talk))).collect();
    Ok(answer)
}

/// Creates rows.
struct Create<K>(PhantomData<K>);
/// Changes rows.
struct Update<K>(PhantomData<K>);

/// A row to be made or changed.
#[derive(Deserialize, JsonSchema)]
struct Item {
    /// to change one: its id, name or email address
    id: Option<String>,
    /// for a new record: its collection's name or id
    collection: Option<String>,
    /// values keyed by field; null clears one
    values: Map<String, Value>,
    /// where you found each value: up to three {at: URL, quote: text} per field
    #[serde(default)]
    sources: BTreeMap<String, Vec<SourceArg>>,
}

/// Where a value was found.
#[derive(Deserialize, JsonSchema)]
struct SourceArg {
    /// a URL, or a record in words
    at: String,
    /// the quoted text
    #[serde(default)]
    quote: String,
}

/// Arguments of tools that make or change rows.
#[derive(Deserialize, JsonSchema)]
struct ItemsArgs {
    /// at most 100; each gets its own result
    items: Vec<Item>,
    /// only preview, changes nothing
    #[serde(default)]
    dry_run: bool,
}

/// Handles each item separately: an invalid one gets its own error and does not affect others.
fn each(
    tx: &mut WriteTx<'_>,
    args: &ItemsArgs,
    mut act: impl FnMut(&mut WriteTx<'_>, &Item) -> Result<Value, CrmError>,
) -> Result<ToolOutput, ToolError> {
    if args.items.is_empty() || MOST < args.items.len() {
        return Err(tool_error(CrmError::field(
            "items",
            format!("Give between one and {MOST} items."),
        )));
    }
    let mut answers = Vec::new();
    for item in &args.items {
        let mut dry = None;
        let done = tx.attempt(|tx| {
            let answer = act(tx, item)?;
            if args.dry_run {
                dry = Some(answer);
                return Err(CrmError::Refused("nothing was changed".to_owned()));
            }
            Ok(answer)
        });
        answers.push(match (done, dry) {
            (_, Some(answer)) | (Ok(answer), None) => answer,
            (Err(CrmError::Store(error)), None) => return Err(error.into()),
            (Err(error), None) => json!({ "error": error.to_string() }),
        });
    }
    let failed = answers.iter().all(|answer| answer.get("error").is_some());
    let mut result = json!({ "items": answers });
    if args.dry_run {
        result["dry_run"] = json!(true);
    }
    Ok(match failed {
        true => ToolOutput::error(result.to_string()),
        false => ToolOutput::of(&result),
    })
}

fn sent(item: &Item) -> Sent {
    let sources = item.sources.iter().map(|(key, all)| {
        let all = all.iter().map(|one| Source { at: one.at.clone(), quote: one.quote.clone() });
        (key.clone(), all.collect())
    });
    Sent { values: item.values.clone(), sources: sources.collect(), ..Sent::default() }
}

/// Adds the values that became suggestions, and why, to a result.
fn with_suggested(mut answer: Value, changed: &Changed) -> Value {
    if let Some(note) = changed.note() {
        answer["suggested"] = json!(changed.suggested);
        answer["note"] = json!(note);
    }
    answer
}

impl<K: Tooled> WriteTool for Create<K> {
    type Args = ItemsArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(K::CREATE, Effect::Add);

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ItemsArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        each(tx, &args, |tx, item| create(K::kind(), tx, item))
    }
}

fn create(kind: &'static RowKind, tx: &mut WriteTx<'_>, item: &Item) -> Result<Value, CrmError> {
    let collection = match (kind == RowKind::RECORDS, item.collection.as_deref()) {
        (true, Some(name)) => Some(queries::collection(tx, name)?.id),
        (true, None) => return Err(CrmError::field("collection", "Name the collection.")),
        (false, _) => None,
    };
    let added = rules::add(kind, tx, collection, &sent(item))?;
    let answer = json!({ "id": added.row.id.to_string(), "name": added.row.name() });
    Ok(with_suggested(answer, &added))
}

impl<K: Tooled> WriteTool for Update<K> {
    type Args = ItemsArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(K::UPDATE, Effect::Change);

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ItemsArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        each(tx, &args, |tx, item| update(K::kind(), tx, item))
    }
}

fn update(kind: &'static RowKind, tx: &mut WriteTx<'_>, item: &Item) -> Result<Value, CrmError> {
    let name = item.id.as_deref().unwrap_or_default();
    let id = queries::resolve(kind, tx, name)?.id;
    let changed = rules::change(kind, tx, id, &sent(item))?;
    let answer =
        json!({ "id": id.to_string(), "name": changed.row.name(), "written": changed.written });
    Ok(with_suggested(answer, &changed))
}

/// Links a contact to an organization.
struct LinkOrganization;

/// Arguments of `contact_link_org`.
#[derive(Deserialize, JsonSchema)]
struct LinkArgs {
    /// the contact's id, name or email address
    contact: String,
    /// the organization's name or id; created if the name is new
    organization: String,
    /// the contact's role there
    role: Option<String>,
}

impl WriteTool for LinkOrganization {
    type Args = LinkArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        ("contact_link_org", "Set which organization a contact works for, and in what role."),
        Effect::Change,
    );

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: LinkArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let id = queries::resolve(RowKind::CONTACTS, tx, &args.contact).map_err(tool_error)?.id;
        let mut values = Map::new();
        values.insert(columns::ORGANIZATION.to_owned(), json!(args.organization));
        if let Some(role) = args.role {
            values.insert("title".to_owned(), json!(role));
        }
        let changed =
            rules::change(RowKind::CONTACTS, tx, id, &Sent::of(values)).map_err(tool_error)?;
        let answer = json!({ "id": id.to_string(), "written": changed.written });
        Ok(ToolOutput::of(&with_suggested(answer, &changed)))
    }
}

/// Records an interaction.
struct InteractionLog;

impl WriteTool for InteractionLog {
    type Args = TalkBody;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        (
            "interaction_log",
            "Log an interaction with a contact or an organization, or a note, with an optional \
             follow-up.",
        ),
        Effect::Add,
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: TalkBody,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let with = args.with(tx).map_err(tool_error)?;
        let talk = rules::log(tx, with, args.patch().map_err(tool_error)?).map_err(tool_error)?;
        let known = Known::new(tx, me(cx))?;
        Ok(ToolOutput::of(&talk_view(&known, talk)))
    }
}

/// Describes the fields of records.
struct SchemaGet;

/// Arguments of `schema_get`.
#[derive(Deserialize, JsonSchema)]
struct SchemaArgs {
    /// contacts, organizations, or a collection's name
    #[serde(default)]
    of: String,
}

impl ReadTool for SchemaGet {
    type Args = SchemaArgs;
    const SPEC: ToolSpec = spec(
        (
            "schema_get",
            "Get the fields of contacts, organizations or a collection as a JSON schema, with \
             stages and choices.",
        ),
        Effect::Read,
    );

    async fn read(&self, cx: &ToolCx, args: SchemaArgs) -> Result<ToolOutput, ToolError> {
        let columns = cx
            .ws
            .read(|snap| columns::of(snap, home_of(snap, &args.of)?).map_err(CrmError::from))
            .map_err(tool_error)?;
        let mut answer = schema(&columns);
        let closed = columns.iter().filter(|column| column.agents != entity::AgentsMay::Write);
        let closed: Map<String, Value> =
            closed.map(|column| (column.key.clone(), json!(column.agents.word()))).collect();
        if !closed.is_empty() {
            answer["agents_may"] = Value::Object(closed);
        }
        Ok(ToolOutput::of(&answer))
    }
}

struct CollectionList;

/// Arguments of `collection_list`.
#[derive(Deserialize, JsonSchema)]
struct NoArgs {}

impl ReadTool for CollectionList {
    type Args = NoArgs;
    const SPEC: ToolSpec = spec(
        ("collection_list", "List the workspace's collections: tables that people created."),
        Effect::Read,
    );

    async fn read(&self, cx: &ToolCx, _: NoArgs) -> Result<ToolOutput, ToolError> {
        let all = cx.ws.read(|snap| queries::collections(snap))?;
        let line = |one: crate::model::Collection| json!({ "id": one.id.to_string(), "name": one.name, "about": one.description });
        Ok(ToolOutput::of(&all.into_iter().map(line).collect::<Vec<_>>()))
    }
}

/// Finds records of a collection.
struct RecordQuery;

/// Arguments of `record_query`.
#[derive(Deserialize, JsonSchema)]
struct QueryArgs {
    /// the collection's name or id
    collection: String,
    #[serde(flatten)]
    list: ListArgs,
}

impl ReadTool for RecordQuery {
    type Args = QueryArgs;
    const SPEC: ToolSpec = spec(
        (
            "record_query",
            "Find records in a collection. q has words and conditions keyed by field.",
        ),
        Effect::Read,
    );

    async fn read(&self, cx: &ToolCx, args: QueryArgs) -> Result<ToolOutput, ToolError> {
        let answer = cx
            .ws
            .read(|snap| {
                let id = queries::collection(snap, &args.collection)?.id;
                found(RowKind::RECORDS, cx, snap, Some(id), args.list)
            })
            .map_err(tool_error)?;
        Ok(foreign(cx, &answer))
    }
}
