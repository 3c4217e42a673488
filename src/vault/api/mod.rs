//! API routes of secrets, `/api/v1/secrets`: metadata, uses and new values. No response contains a value, except values
//! of variables marked as not secret.

mod masks;
mod master;
mod uses;
mod view;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use kernel::{Can, Timestamp};
use store::{Read, WriteTx};
use web::error::ApiError;
use web::extract::{self, Json, Path, Query, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use self::view::{Look, SecretView, view};
use crate::dotenv;
use crate::error::VaultError;
use crate::given::follow;
use crate::model::{Category, Owner, Places, Scope, Secret, SecretId, Way};
use crate::queries;
use crate::rules::{self, Entry, Existing, ImportOptions, NewSecret, Patch, Verdict};
use crate::sync::State;
use crate::values::{self, Ends, NewValue, SecretInput};

#[must_use]
pub fn routes() -> Routes {
    master::routes(masks::routes(Routes::new()))
        .get(
            "/secrets",
            list.needs(Can::Admin)
                .doc(|| Doc::new("All secrets, without values").returns::<Secrets>()),
        )
        .post(
            "/secrets",
            make.needs(Can::Admin).doc(|| {
                Doc::new("Add a secret").body::<NewBody>().returns::<SecretView>().status(201)
            }),
        )
        .post(
            "/secrets/import",
            import.needs(Can::Admin).doc(|| {
                Doc::new("Import KEY=value lines, all or none. `preview` changes nothing")
                    .body::<ImportBody>()
                    .returns::<Imported>()
            }),
        )
        .get(
            "/secrets/uses",
            uses::of_agent.needs(Can::Admin).doc(|| {
                Doc::new("Secrets that an agent used, newest first")
                    .query::<uses::UsedBy>()
                    .returns::<uses::Uses>()
            }),
        )
        .get(
            "/secrets/{id}",
            show.needs(Can::Admin).doc(|| {
                Doc::new("A secret, by ID or variable").query::<Whose>().returns::<SecretView>()
            }),
        )
        .patch(
            "/secrets/{id}",
            change.needs(Can::Admin).proved().doc(|| {
                Doc::new("Change a secret's settings")
                    .query::<Whose>()
                    .body::<ChangeBody>()
                    .returns::<SecretView>()
            }),
        )
        .delete(
            "/secrets/{id}",
            remove.needs(Can::Admin).doc(|| {
                Doc::new("Remove a secret. It can be restored for 7 days")
                    .query::<Whose>()
                    .status(204)
            }),
        )
        .post(
            "/secrets/{id}/restore",
            restore
                .needs(Can::Admin)
                .doc(|| Doc::new("Restore a removed secret, by ID").returns::<SecretView>()),
        )
        .put(
            "/secrets/{id}/value",
            set_value.needs(Can::Admin).doc(|| {
                Doc::new("Replace the value. The previous value can be restored for 24 hours")
                    .query::<Whose>()
                    .body::<ValueBody>()
                    .returns::<SecretView>()
            }),
        )
        .post(
            "/secrets/{id}/put-back",
            put_back.needs(Can::Admin).doc(|| {
                Doc::new("Restore the previous value").query::<Whose>().returns::<SecretView>()
            }),
        )
        .get(
            "/secrets/{id}/uses",
            uses::of_secret.needs(Can::Admin).doc(|| {
                Doc::new("A secret's uses, newest first").query::<Whose>().returns::<uses::Uses>()
            }),
        )
        .get(
            "/secrets/{id}/why",
            why.needs(Can::Admin).doc(|| {
                Doc::new("Why an agent has a variable or not").query::<Whose>().returns::<WhyView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Secrets {
    items: Vec<SecretView>,
}

async fn list(ws: Ws) -> Result<Json<Secrets>, ApiError> {
    let items = ws.read_blocking(|ws| {
        ws.read(|snap| {
            let look = Look::new(ws, snap)?;
            let all = queries::all(snap)?.into_iter();
            all.map(|one| view(&look, one)).collect::<Result<Vec<_>, VaultError>>()
        })
    });
    Ok(Json(Secrets { items: items.await? }))
}

/// Whose it is, where a variable is named.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Whose {
    /// The slug or id of an agent that has one of its own.
    agent: Option<String>,
    /// The slug or id of a gateway whose agents have one of their own.
    gateway: Option<String>,
}

/// Error text for a request that names both agents and a gateway.
const BOTH: &str = "Choose agents or a gateway, not both.";

impl Whose {
    fn owner(&self, read: &dyn Read) -> Result<Owner, VaultError> {
        match (&self.agent, &self.gateway) {
            (None, None) => Ok(Owner::All),
            (Some(name), None) => Ok(Owner::Agent(queries::agent_called(read, name)?.id)),
            (None, Some(name)) => Ok(Owner::Gateway(queries::gateway_called(read, name)?.id)),
            (Some(_), Some(_)) => Err(VaultError::field("gateway", BOTH)),
        }
    }
}

fn found(ws: &Ws, name: &str, whose: &Whose) -> Result<Secret, VaultError> {
    ws.read(|snap| queries::meant(snap, name, whose.owner(snap)?))
}

fn answer(ws: &Ws, id: SecretId, is_short: bool) -> Result<SecretView, VaultError> {
    let mut shown = ws.read(|snap| view(&Look::new(ws, snap)?, queries::by_id(snap, id)?))?;
    shown.warning = (is_short && !shown.plain).then_some(values::SHORT);
    Ok(shown)
}

async fn show(
    ws: Ws,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<SecretView>, ApiError> {
    let id = found(&ws, &name, &whose)?.id;
    Ok(Json(answer(&ws, id, false)?))
}

/// A secret to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// What it is for.
    name: String,
    /// The variable; made from the name when it is left out.
    key: Option<String>,
    value: SecretInput,
    /// What becomes of line breaks at the ends of the value; such a value is asked about when this is left out.
    ends: Option<Ends>,
    note: Option<String>,
    category: Option<Category>,
    /// The agents that alone have it, by slug or id; all when this and `gateway` are left out.
    agents: Option<Vec<String>>,
    /// The gateway whose agents alone have it, by slug or id.
    gateway: Option<String>,
    /// A stand-in where there are hosts, otherwise the value, when this is left out.
    way: Option<Way>,
    named_only: Option<bool>,
    hosts: Option<Vec<String>>,
    places: Option<Places>,
    /// Whether it is no secret: people can read it, and it is not masked.
    #[serde(default)]
    plain: bool,
    /// Whether a value is meant that is an ordinary word or number: it is masked wherever it is written.
    #[serde(default)]
    ordinary: bool,
    #[schemars(with = "Option<String>")]
    expires_at: Option<Timestamp>,
}

async fn make(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, Json<SecretView>), ApiError> {
    let words = match body.category {
        Some(Category::Channel) => Some(
            "Connect the channel in Settings → Channels, with `hq channel connect` or POST \
             /api/v1/channels/connect. It stores its own token.",
        ),
        Some(Category::Integration) => Some("No connector reads such a secret. Leave this out."),
        Some(Category::User) | None => None,
    };
    if let Some(words) = words {
        return Err(VaultError::field("category", words).into());
    }
    values::ask(body.value.text(), body.plain, body.ordinary)?;
    let value = values::seal(&ws.app, body.value.text(), body.ends)?;
    let is_short = value.is_short;
    let new = NewSecret {
        name: body.name,
        key: body.key,
        category: body.category.unwrap_or(Category::User),
        plain: body.plain,
        value,
        patch: Patch {
            note: body.note,
            scope: Some(scope(&ws, body.agents.as_deref(), body.gateway.as_deref())?),
            way: Some(body.way),
            named_only: body.named_only,
            hosts: body.hosts,
            places: body.places,
            expires_at: body.expires_at.map(Some),
            name: None,
        },
    };
    let make = once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, new).map(|one| one.id));
    let id = ws.write(&who, make).await?;
    follow(&ws).await?;
    Ok((StatusCode::CREATED, Json(answer(&ws, id, is_short)?)))
}

/// The scope that a request names.
fn scope(ws: &Ws, agents: Option<&[String]>, gateway: Option<&str>) -> Result<Scope, VaultError> {
    match (agents, gateway) {
        (None, None) => Ok(Scope::Workspace),
        (Some(names), None) => {
            ws.read(|snap| queries::agents_called(snap, names)).map(Scope::Agents)
        }
        (None, Some(names)) => {
            ws.read(|snap| queries::gateway_called(snap, names)).map(|one| Scope::Gateway(one.id))
        }
        (Some(_), Some(_)) => Err(VaultError::field("gateway", BOTH)),
    }
}

/// What a secret is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    note: Option<String>,
    /// The agents that alone have it; null for all.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Vec<String>>")]
    agents: Option<Option<Vec<String>>>,
    /// The gateway whose agents alone have it; null for all.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    gateway: Option<Option<String>>,
    /// Null for what is usual with its hosts.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Way>")]
    way: Option<Option<Way>>,
    named_only: Option<bool>,
    hosts: Option<Vec<String>>,
    places: Option<Places>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    expires_at: Option<Option<Timestamp>>,
}

async fn change(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
    extract::Patch(body): extract::Patch<ChangeBody>,
) -> Result<Json<SecretView>, ApiError> {
    let id = found(&ws, &name, &whose)?.id;
    let scope = match (&body.agents, &body.gateway) {
        (None, None) => None,
        (agents, gateway) => {
            let agents = agents.as_ref().and_then(|name| name.as_deref());
            let gateway = gateway.as_ref().and_then(|name| name.as_deref());
            Some(scope(&ws, agents, gateway)?)
        }
    };
    let patch = Patch {
        name: body.name,
        note: body.note,
        scope,
        way: body.way,
        named_only: body.named_only,
        hosts: body.hosts,
        places: body.places,
        expires_at: body.expires_at,
    };
    ws.write(&who, move |tx| rules::change(tx, id, patch)).await?;
    Ok(Json(answer(&ws, id, false)?))
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<StatusCode, ApiError> {
    let id = found(&ws, &name, &whose)?.id;
    let remove = once.run(move |tx: &mut WriteTx<'_>| rules::remove(tx, id).map(|one| one.id));
    ws.write(&who, remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restore(
    ws: Ws,
    who: Person,
    Path(id): Path<SecretId>,
) -> Result<Json<SecretView>, ApiError> {
    ws.write(&who, move |tx| rules::restore(tx, id)).await?;
    follow(&ws).await?;
    Ok(Json(answer(&ws, id, false)?))
}

/// Another value.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ValueBody {
    value: SecretInput,
    /// What becomes of line breaks at its ends.
    ends: Option<Ends>,
    /// Whether a value is meant that is an ordinary word or number: it is masked wherever it is written.
    #[serde(default)]
    ordinary: bool,
}

async fn set_value(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
    Json(body): Json<ValueBody>,
) -> Result<Json<SecretView>, ApiError> {
    let secret = found(&ws, &name, &whose)?;
    let id = secret.id;
    values::ask(body.value.text(), secret.plain, body.ordinary)?;
    let value = values::seal(&ws.app, body.value.text(), body.ends)?;
    let is_short = value.is_short;
    let set =
        once.run(move |tx: &mut WriteTx<'_>| rules::set_value(tx, id, value).map(|one| one.id));
    ws.write(&who, set).await?;
    follow(&ws).await?;
    Ok(Json(answer(&ws, id, is_short)?))
}

async fn put_back(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<SecretView>, ApiError> {
    let id = found(&ws, &name, &whose)?.id;
    let put = once.run(move |tx: &mut WriteTx<'_>| rules::put_back(tx, id).map(|one| one.id));
    ws.write(&who, put).await?;
    follow(&ws).await?;
    Ok(Json(answer(&ws, id, false)?))
}

/// Lines to be taken in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    /// Lines as Node's dotenv reads them.
    text: SecretInput,
    /// The agents that alone have them, by slug or id; all when this and `gateway` are left out.
    agents: Option<Vec<String>>,
    /// The gateway whose agents alone have them, by slug or id.
    gateway: Option<String>,
    /// What becomes of those that are there already.
    existing: Option<Existing>,
    /// Whether values are meant that are ordinary words or numbers: they are masked wherever they are written.
    #[serde(default)]
    ordinary: bool,
    /// Whether nothing is written.
    #[serde(default)]
    preview: bool,
}

#[derive(Serialize, JsonSchema)]
struct Imported {
    lines: Vec<LineView>,
    /// The secrets that were added or have another value.
    made: Vec<SecretId>,
}

/// A line, without its value.
#[derive(Serialize, JsonSchema)]
struct LineView {
    line: usize,
    key: String,
    /// `new`, `replaces`, `empty` (it is left out) or `wrong`.
    verdict: &'static str,
    /// What is wrong with it, or to be known of it before it is taken in.
    says: String,
    /// Whether its value is too short to be masked in output.
    is_short: bool,
}

fn line_view(entry: Entry) -> LineView {
    let note = entry.note();
    let (verdict, says) = match entry.verdict {
        Verdict::New => ("new", note),
        Verdict::Replaces(_) => ("replaces", note),
        Verdict::Empty => ("empty", note),
        Verdict::Wrong(why) => ("wrong", why),
    };
    LineView { line: entry.line, key: entry.key, verdict, says, is_short: entry.is_short }
}

async fn import(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<ImportBody>,
) -> Result<Json<Imported>, ApiError> {
    let scope = scope(&ws, body.agents.as_deref(), body.gateway.as_deref())?;
    let existing = body.existing.unwrap_or(Existing::Refuse);
    let wish = ImportOptions { existing, ordinary: body.ordinary };
    let text = dotenv::read(body.text.text());
    let entries = ws.read(|snap| rules::judge(snap, &text, &scope, wish))?;
    if body.preview {
        let lines = entries.into_iter().map(line_view).collect();
        return Ok(Json(Imported { lines, made: Vec::new() }));
    }
    rules::fine(&entries)?;
    let sealed = sealed(&ws.app, &text)?;
    let take = once.run(move |tx: &mut WriteTx<'_>| rules::import(tx, &text, sealed, &scope, wish));
    let made = ws.write(&who, take).await?;
    follow(&ws).await?;
    Ok(Json(Imported { lines: entries.into_iter().map(line_view).collect(), made }))
}

/// Seals the non-empty values of a parsed text, in order.
pub(crate) fn sealed(app: &App, text: &dotenv::Read) -> Result<Vec<NewValue>, VaultError> {
    let seal = |one: &dotenv::Assignment| values::seal(app, &one.value, Some(Ends::Keep));
    text.assignments.iter().filter(|one| !one.value.is_empty()).map(seal).collect()
}

/// Why an agent has a variable, or has not.
#[derive(Serialize, JsonSchema)]
struct WhyView {
    key: String,
    /// What it has.
    has: Option<SecretView>,
    /// What that stands in the place of, the nearest of it.
    over: Option<SecretId>,
    /// All that it stands in the place of, the nearest first: that of the gateway, that of all agents.
    shadowed: Vec<SecretId>,
    /// Others of that name, which it does not have.
    others: Vec<SecretId>,
    /// The same in sentences.
    says: Vec<String>,
}

async fn why(
    ws: Ws,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<WhyView>, ApiError> {
    let Some(agent) = whose.agent else {
        return Err(VaultError::field("agent", "Choose an agent.").into());
    };
    let explanation = ws.read(|snap| {
        let agent = queries::agent_called(snap, &agent)?.id;
        let key = match name.parse() {
            Ok(id) => queries::by_id(snap, id)?.key,
            Err(_) => name,
        };
        let why = queries::why(snap, agent, &key)?;
        let look = Look::new(&ws, snap)?;
        let has = why.held.as_ref().map(|held| view(&look, held.secret.clone()));
        let has = has.transpose()?;
        Ok::<_, VaultError>(WhyView {
            says: why.describe(has.as_ref().is_none_or(|has| has.state != State::Reenter.word())),
            over: why.held.as_ref().and_then(|held| held.over.first()).map(|over| over.id),
            shadowed: why.held.iter().flat_map(|held| &held.over).map(|over| over.id).collect(),
            others: why.others.iter().map(|one| one.id).collect(),
            has,
            key,
        })
    })?;
    Ok(Json(explanation))
}
