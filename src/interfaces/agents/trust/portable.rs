//! Permissions on their way out of a workspace and into another: what speaks for itself as JSON, and what would be added
//! before it is, by its hash. What is bound to one exact command or call means nothing elsewhere and stays here.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use app::{App, Ws};
use features::trust::model::{Pattern, Permission, What};
use features::trust::queries;
use features::trust::queries::widening::{self, Refused};
use features::trust::rules::{self, NewPermission, TrustError};
use features::trust::weigh;
use kernel::{AgentId, Can, Leave, Timestamp};
use store::{Read, StoreError};
use web::error::{ApiError, Failure, PageError};
use web::extract::{Form, Json, Query};
use web::form::Wrong;
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, format, html};

use super::permits::{self, Wish};
use super::table::word_of;

/// What a document says of itself.
const FORMAT: &str = "hq-permissions-1";
/// The most permissions of a document.
const MOST: usize = 500;

/// Routes below the workspace.
pub(super) fn pages(routes: Routes) -> Routes {
    routes
        .get("/permissions/export", download.needs(Can::Admin))
        .get("/permissions/import", form.needs(Can::Admin))
        .post("/permissions/import", send.needs(Can::Admin))
}

/// Routes below `/api/v1`.
pub(super) fn api(routes: Routes) -> Routes {
    let imported = || {
        Doc::new("Without a hash: what would be added, and its hash. With it: add exactly that")
            .body::<ImportBody>()
            .returns::<Imported>()
    };
    routes
        .get(
            "/permissions/export",
            api_export.needs(Can::Read).doc(|| {
                Doc::new("The permissions of an agent, or of the workspace, for another workspace")
                    .query::<Whose>()
                    .returns::<Document>()
            }),
        )
        .get(
            "/permissions/presets",
            api_presets.needs(Can::Read).doc(|| {
                Doc::new("Permissions that belong together, as documents that can be imported")
                    .returns::<Presets>()
            }),
        )
        .post("/permissions/import", api_import.needs(Can::Admin).doc(imported))
}

/// Permissions as they go from one workspace to another.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Document {
    /// `hq-permissions-1`.
    format: String,
    permissions: Vec<Item>,
    /// How many stay where they are: those for one exact command or call.
    #[serde(default)]
    left_out: usize,
}

/// A permission in such a document.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    /// The tool; `*` for all.
    tool: String,
    leave: Leave,
    /// Only requests to this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Only requests by this method; with a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Only what a program does by its first words, inside the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Subcommand>,
    /// Why.
    #[serde(default)]
    note: String,
    /// Until when it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    expires_at: Option<Timestamp>,
}

/// What a program does by its first words.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Subcommand {
    program: String,
    words: Vec<String>,
    options: Vec<String>,
}

impl Document {
    fn of(permissions: Vec<Item>, left_out: usize) -> Self {
        Self { format: FORMAT.to_owned(), permissions, left_out }
    }

    fn read(text: &str) -> Result<Self, TrustError> {
        serde_json::from_str(text).map_err(|error| {
            TrustError::Refused(format!("these are no permissions as HQ exports them: {error}"))
        })
    }

    /// What it would make for an agent, or for all.
    fn permissions(
        self,
        agent: Option<AgentId>,
        now: Timestamp,
    ) -> Result<Vec<NewPermission>, TrustError> {
        if self.format != FORMAT {
            return Err(TrustError::Refused(format!("this is not {FORMAT}")));
        }
        if MOST < self.permissions.len() {
            return Err(TrustError::Refused(format!("at most {MOST} permissions at once")));
        }
        self.permissions.into_iter().map(|item| item.permission(agent, now)).collect()
    }
}

impl Item {
    /// The same as a document says it; none for what means nothing elsewhere.
    fn of(rule: Permission) -> Option<Self> {
        let (mut host, mut method, mut command) = (None, None, None);
        match rule.what {
            What::All => {}
            What::Host { method: by, host: at } => {
                host = Some(at);
                method = Some(by).filter(|by| !by.is_empty());
            }
            What::Command(Pattern::Subcommand { program, words, options }) => {
                command = Some(Subcommand { program, words, options });
            }
            What::Same { .. } | What::Command(_) => return None,
        }
        let Permission { tool, leave, note, expires_at, .. } = rule;
        Some(Self { tool, leave, host, method, command, note, expires_at })
    }

    fn permission(
        self,
        agent: Option<AgentId>,
        now: Timestamp,
    ) -> Result<NewPermission, TrustError> {
        let Self { tool, leave, host, method, command, note, expires_at } = self;
        let wish = Wish { agent: None, tool, leave, host, method, note, days: None };
        let mut new = NewPermission { expires_at, ..wish.permission(agent, now)? };
        if let Some(Subcommand { program, words, options }) = command {
            let told = |why: &str| TrustError::Refused(format!("{program}: {why}"));
            if new.tool != "exec" || new.what != What::All {
                return Err(told("only exec runs programs"));
            }
            if leave == Leave::Allow && weigh::does_what_files_say(&program) {
                return Err(told(
                    "it does what files of the agent say, so it is asked for each time",
                ));
            }
            new.what = What::Command(Pattern::Subcommand { program, words, options });
        }
        Ok(new)
    }
}

/// What of these is not there yet.
fn fresh(
    tx: &dyn Read,
    all: Vec<NewPermission>,
    now: Timestamp,
) -> Result<Vec<NewPermission>, StoreError> {
    let mut fresh: Vec<NewPermission> = Vec::new();
    for new in all {
        let there = queries::rules_of(tx, &new.tool, now)?.into_iter().any(|rule| {
            rule.run.is_none()
                && (rule.agent, rule.leave) == (new.agent, new.leave)
                && (&rule.tool, &rule.what) == (&new.tool, &new.what)
                && rule.expires_at == new.expires_at
        });
        let same = |one: &NewPermission| {
            (&one.tool, &one.what, one.leave) == (&new.tool, &new.what, new.leave)
                && one.expires_at == new.expires_at
        };
        if !there && !fresh.iter().any(same) {
            fresh.push(new);
        }
    }
    Ok(fresh)
}

/// SHA-256 of what would be added, and for whom.
fn hash_of(all: &[NewPermission]) -> String {
    let mut hash = Sha256::new();
    for new in all {
        let NewPermission { agent, tool, what, leave, note, expires_at, .. } = new;
        let part = serde_json::to_vec(&(agent, tool, what, leave, note, expires_at));
        // ok: these are plain values.
        let part = part.unwrap_or_default();
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn exported(tx: &dyn Read, agent: Option<AgentId>) -> Result<Document, StoreError> {
    let all = queries::kept(tx, agent)?.into_iter().filter(|rule| rule.agent == agent);
    let items: Vec<Option<Item>> = all.map(Item::of).collect();
    let left_out = items.iter().filter(|item| item.is_none()).count();
    Ok(Document::of(items.into_iter().flatten().collect(), left_out))
}

/// Permissions that belong together.
#[derive(Serialize, JsonSchema)]
struct Preset {
    name: &'static str,
    /// What they are for.
    about: &'static str,
    document: Document,
}

/// How much an agent does that acts for a person, in three steps.
fn presets() -> Vec<Preset> {
    let item = |tool: &str, leave: Leave| Item {
        tool: tool.to_owned(),
        leave,
        host: None,
        method: None,
        command: None,
        note: String::new(),
        expires_at: None,
    };
    let preset = |name, about, rules: &[(&str, Leave)]| {
        let items = rules.iter().map(|(tool, leave)| item(tool, *leave)).collect();
        Preset { name, about, document: Document::of(items, 0) }
    };
    vec![
        preset(
            "Reads and drafts",
            "It asks before anything leaves the house, and changes no routines.",
            &[
                ("http_request", Leave::Ask),
                ("browser", Leave::Ask),
                ("exec", Leave::Ask),
                ("routine_save", Leave::Deny),
                ("routine_delete", Leave::Deny),
            ],
        ),
        preset(
            "Sends when asked to",
            "It asks before requests and before it changes routines.",
            &[
                ("http_request", Leave::Ask),
                ("routine_save", Leave::Ask),
                ("routine_delete", Leave::Ask),
            ],
        ),
        preset(
            "Goes ahead",
            "For the mode Full: what it does by itself all the same stops at these.",
            &[("routine_delete", Leave::Deny), ("routine_save", Leave::Ask)],
        ),
    ]
}

/// Whose permissions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Whose {
    /// Slug or id of an agent; without it, those of the workspace.
    agent: Option<String>,
}

/// Permissions that belong together.
#[derive(Serialize, JsonSchema)]
struct Presets {
    items: Vec<Preset>,
}

/// What is to be taken in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    /// Slug or id of the agent; without it, for all.
    #[serde(default)]
    agent: Option<String>,
    document: Document,
    /// Of what would be added, as it was told; without it nothing is added.
    #[serde(default)]
    hash: Option<String>,
}

/// What would be added, or was.
#[derive(Serialize, JsonSchema)]
struct Imported {
    /// What is sent to add exactly this.
    hash: String,
    /// What is new.
    permissions: Vec<Added>,
    /// How many of the document are there already.
    known: usize,
    /// Whether they were added.
    added: bool,
}

/// A permission that would be added.
#[derive(Serialize, JsonSchema)]
struct Added {
    /// The tool; `*` for all.
    tool: String,
    leave: Leave,
    /// The calls, in words.
    calls: String,
    note: String,
}

impl Added {
    fn of(new: &NewPermission) -> Self {
        let calls = permits::calls(&new.tool, &new.what);
        Self { tool: new.tool.clone(), leave: new.leave, calls, note: new.note.clone() }
    }

    /// What the answer is called, and its tone.
    fn word(&self) -> (&'static str, &'static str) {
        word_of(self.leave)
    }
}

/// What a document would add now.
fn looked(ws: &Ws, agent: Option<AgentId>, document: Document) -> Result<Imported, TrustError> {
    let now = ws.app.clock.now();
    let all = document.permissions(agent, now)?;
    let count = all.len();
    let new = ws.read(|snap| fresh(snap, all, now))?;
    let permissions: Vec<Added> = new.iter().map(Added::of).collect();
    let known = count - permissions.len();
    Ok(Imported { hash: hash_of(&new), permissions, known, added: false })
}

/// Adds what a document would add, if that is still what was shown.
async fn add(
    ws: &Ws,
    who: &Person,
    once: Once,
    (agent, document, hash): (Option<AgentId>, Document, String),
) -> Result<(), Refused<TrustError>> {
    let all = document.permissions(agent, ws.app.clock.now()).map_err(Refused::Rule)?;
    let adds = move |tx: &mut store::WriteTx<'_>| {
        let now = tx.now();
        let new = fresh(tx, all, now)?;
        if hash_of(&new) != hash {
            let told = "what would be added is not what was shown; look at it once more";
            return Err(TrustError::Refused(told.to_owned()));
        }
        for one in new {
            rules::permit(tx, one)?;
        }
        Ok(())
    };
    ws.write(who, widening::checked(who, once.run(adds))).await
}

async fn api_export(
    ws: Ws,
    _: Person,
    Query(whose): Query<Whose>,
) -> Result<Json<Document>, ApiError> {
    let agent = ws.read(|snap| permits::agent_named(snap, whose.agent.as_deref()))?;
    Ok(Json(ws.read(|snap| exported(snap, agent.map(|agent| agent.id)))?))
}

async fn api_presets(_: Ws, _: Person) -> Json<Presets> {
    Json(Presets { items: presets() })
}

async fn api_import(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<ImportBody>,
) -> Result<Json<Imported>, ApiError> {
    let agent = ws.read(|snap| permits::agent_named(snap, body.agent.as_deref()))?;
    let agent = agent.map(|agent| agent.id);
    let told = looked(&ws, agent, body.document.clone())?;
    let Some(hash) = body.hash else { return Ok(Json(told)) };
    add(&ws, &who, once, (agent, body.document, hash)).await?;
    Ok(Json(Imported { added: true, ..told }))
}

/// `GET /permissions/export`
async fn download(ws: Ws, _: Person, Query(whose): Query<Whose>) -> Result<Response, PageError> {
    let agent = ws.read(|snap| permits::agent_named(snap, whose.agent.as_deref()))?;
    let name = agent.as_ref().map_or("workspace", |agent| agent.slug.as_str());
    let name = format!("attachment; filename=\"permissions-{name}.json\"");
    let document = ws.read(|snap| exported(snap, agent.map(|agent| agent.id)))?;
    let text = serde_json::to_string_pretty(&document);
    let text = text.map_err(|error| PageError(Failure::internal(error)))?;
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let name = HeaderValue::try_from(name).map_err(|error| PageError(Failure::internal(error)))?;
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// A button that fills the form.
struct Choice {
    name: &'static str,
    about: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "trust/import.html")]
struct ImportPage {
    shell: Shell,
    here: &'static str,
    action: String,
    back: String,
    /// The agent's word in addresses; empty for the workspace.
    agent: String,
    text: String,
    wrong: Wrong,
    presets: Vec<Choice>,
    told: Option<Imported>,
}

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    agent: String,
    text: String,
    /// Of what was shown; empty at the first look.
    hash: String,
}

fn page(ws: &Ws, shell: Shell, sent: Sent, told: Option<Imported>, wrong: Wrong) -> ImportPage {
    let choice = |preset: Preset| Choice {
        name: preset.name,
        about: preset.about,
        // ok: a value of our own making is written.
        text: serde_json::to_string_pretty(&preset.document).unwrap_or_default(),
    };
    ImportPage {
        shell,
        here: "policy",
        action: ws.url("permissions/import"),
        back: place(ws, &sent.agent),
        agent: sent.agent,
        text: sent.text,
        wrong,
        presets: presets().into_iter().map(choice).collect(),
        told,
    }
}

/// The page with the permissions of an agent, or of the workspace.
fn place(ws: &Ws, slug: &str) -> String {
    match slug {
        "" => ws.url("settings/policy"),
        slug => ws.url(&format!("agents/{slug}/behaviour")),
    }
}

/// `GET /permissions/import`
async fn form(
    ws: Ws,
    _: Person,
    shell: Shell,
    Query(whose): Query<Whose>,
) -> Result<Response, PageError> {
    let agent = whose.agent.unwrap_or_default();
    ws.read(|snap| permits::agent_named(snap, Some(&agent)).map(drop))?;
    let sent = Sent { agent, ..Sent::default() };
    html::page(&page(&ws, shell, sent, None, Wrong::none()))
}

/// `POST /permissions/import`: first what would be added, then that.
async fn send(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| permits::agent_named(snap, Some(&sent.agent)))?;
    let agent = agent.map(|agent| agent.id);
    let done = match Document::read(&sent.text) {
        Ok(document) if sent.hash.is_empty() => {
            looked(&ws, agent, document).map(Some).map_err(Refused::Rule)
        }
        Ok(document) => {
            let what = (agent, document, sent.hash.clone());
            add(&ws, &who, Once::without_key(), what).await.map(|()| None)
        }
        Err(error) => Err(Refused::Rule(error)),
    };
    match done {
        Ok(None) => Ok(flash::say(&app, Flash::ok("Added."), hx.go_to(&place(&ws, &sent.agent)))),
        Ok(told) => html::page(&page(&ws, shell, sent, told, Wrong::none())),
        Err(error) => {
            let page = page(&ws, shell, sent, None, Wrong::of(&error)?);
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

impl ImportPage {
    /// How many are new, in a sentence.
    fn summary(&self) -> String {
        let Some(Imported { permissions, known, .. }) = &self.told else { return String::new() };
        let new = permissions.len() as u64;
        let new = format::count(new, "permission is new", "permissions are new");
        match *known as u64 {
            0 => web::form::sentence(&new),
            known => {
                let known = format::count(known, "is", "are");
                web::form::sentence(&format!("{new}; {known} there already"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, presets};

    #[test]
    fn a_document_is_read_as_it_was_written_and_nothing_else() {
        let now = kernel::time::from_ms(0);
        let text = r#"{"format":"hq-permissions-1","permissions":[],"left_out":2}"#;
        assert!(Document::read(text).expect("a document").permissions(None, now).is_ok());
        for wrong in ["", "[]", r#"{"format":"hq-permissions-1","permissions":[],"more":1}"#] {
            assert!(Document::read(wrong).is_err(), "{wrong}");
        }
        let other = r#"{"format":"hq-permissions-2","permissions":[]}"#;
        assert!(Document::read(other).expect("one").permissions(None, now).is_err());
    }

    #[test]
    fn presets_are_documents() {
        for preset in presets() {
            let text = serde_json::to_string(&preset.document).expect("JSON");
            assert!(!Document::read(&text).expect(preset.name).permissions.is_empty());
        }
    }
}
