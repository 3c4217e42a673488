//! API routes of gateways, `/api/v1/gateways`.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use features::agents::model::Agent;
use features::agents::queries as agents;
use kernel::{Can, ProblemKind, Timestamp};
use store::{Read, StoreError};
use web::error::{ApiError, Failure};
use web::extract::{self, Json, Path};
use web::idempotency::NoKey;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::error::GatewayError;
use crate::health::Health;
use crate::hosts::{is_silent, silent_since};
use crate::identity::{fingerprint, identity};
use crate::lately::Lately;
use crate::linked::{self, CopyView, LinkView, TroubleView};
use crate::machine;
use crate::model::{Gateway, GatewayToken, GatewayTokenId, Load, Status, local};
use crate::place::Place;
use crate::queries;
use crate::rules::{self, NewToken, Patch};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/gateways",
            list.needs(Can::Admin)
                .doc(|| Doc::new("Gateways: machines that agents run on").returns::<Gateways>()),
        )
        .get(
            "/gateways/tokens",
            tokens
                .needs(Can::Admin)
                .doc(|| Doc::new("Join tokens without their secrets").returns::<Tokens>()),
        )
        .post(
            "/gateways/tokens",
            mint.needs(Can::Admin).proved().doc(|| {
                Doc::new("Create a join token for one machine. It's shown only once")
                    .body::<NewBody>()
                    .returns::<Fresh>()
                    .status(201)
                    .no_key("the answer holds a secret")
            }),
        )
        .delete(
            "/gateways/tokens/{id}",
            revoke_token.needs(Can::Admin).doc(|| {
                Doc::new("Revoke a token. A machine that has joined with it stays").status(204)
            }),
        )
        .get(
            "/gateways/{id}",
            show.needs(Can::Admin)
                .doc(|| Doc::new("A gateway, by ID, slug or name").returns::<GatewayView>()),
        )
        .patch(
            "/gateways/{id}",
            change.needs(Can::Admin).doc(|| {
                Doc::new("Change a gateway's name, labels, address or offline limits")
                    .body::<ChangeBody>()
                    .returns::<GatewayView>()
            }),
        )
        .delete(
            "/gateways/{id}",
            remove.needs(Can::Admin).doc(|| {
                Doc::new("Remove a gateway without agents. Its machine loses access").status(204)
            }),
        )
        .get(
            "/gateways/{id}/scope",
            scope.needs(Can::Admin).doc(|| {
                Doc::new("Data visible to a gateway's machine, by table and number of rows")
                    .returns::<ScopeView>()
            }),
        )
        .post(
            "/gateways/{id}/pause",
            pause.needs(Can::Admin).doc(|| {
                Doc::new("Pause a gateway. It finishes its work and starts nothing new")
                    .returns::<GatewayView>()
            }),
        )
        .post(
            "/gateways/{id}/resume",
            resume.needs(Can::Admin).doc(|| Doc::new("Resume a gateway").returns::<GatewayView>()),
        )
        .post(
            "/gateways/{id}/keep",
            keep.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Choose one of several machines with a gateway's key. The others lose access",
                )
                .body::<KeepBody>()
                .returns::<GatewayView>()
            }),
        )
        .post(
            "/gateways/{id}/revoke",
            revoke
                .needs(Can::Admin)
                .doc(|| Doc::new("Permanently revoke a gateway's access").returns::<GatewayView>()),
        )
        .get(
            "/agents/{agent}/gateway",
            place
                .needs(Can::Read)
                .doc(|| Doc::new("The gateway that an agent runs on").returns::<PlaceView>()),
        )
        .put(
            "/agents/{agent}/gateway",
            bind.needs(Can::Admin).doc(|| {
                Doc::new("Move an agent to another gateway")
                    .body::<PlaceBody>()
                    .returns::<PlaceView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Gateways {
    items: Vec<GatewayView>,
}

/// A gateway.
#[derive(Serialize, JsonSchema)]
struct GatewayView {
    id: String,
    /// What people call it.
    label: String,
    /// Its word in addresses and commands; never changes.
    slug: String,
    labels: Vec<String>,
    /// Where people reach it, in place of what it reports; may be empty.
    address: String,
    /// Where it says that it is reached.
    addresses: Vec<String>,
    status: Status,
    /// Why, when the status is `error`.
    #[serde(skip_serializing_if = "String::is_empty")]
    status_reason: String,
    health: Health,
    /// Whether its word is late, while it is not silent yet.
    slow: bool,
    /// Whether HQ itself runs there.
    local: bool,
    /// The fingerprint of its key; none for this machine.
    fingerprint: Option<String>,
    version: String,
    system: String,
    /// The agents that work there, by their slugs.
    agents: Vec<String>,
    load: Option<Load>,
    /// Its link; none while it is not linked.
    link: Option<LinkView>,
    /// What its program is told, where that is another than this one can talk to.
    turned_away: Option<String>,
    /// What is wrong with its machine, as that said last; while it is not linked only that there are two with its key.
    troubles: Vec<TroubleView>,
    /// The machines with its key, while they are held and one has to be chosen; else empty.
    copies: Vec<CopyView>,
    #[schemars(with = "Option<String>")]
    last_seen_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    joined_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    ready_at: Option<Timestamp>,
    /// What each run there may spend while it is cut off, in micro-dollars.
    grant_micros: i64,
    /// For how many hours after the cut.
    cut_hours: u32,
    /// How many runs were made for it in the last 30 days; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_30_days: Option<u64>,
    /// What was billed for it in the last 30 days, in micro-dollars; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    billed_30_days_micros: Option<i64>,
}

fn view(
    ws: &Ws,
    read: &dyn Read,
    (one, lately): (Gateway, Option<&Lately>),
) -> Result<GatewayView, GatewayError> {
    let app = &ws.app;
    let standing = queries::standing(read, &one, app.clock.now())?;
    let (beat, local) = (queries::beat(read, one.id)?, one.is_local());
    let load = match local {
        true => Some(machine::load(&app.config.data)),
        false => beat.as_ref().map(|beat| beat.load),
    };
    Ok(GatewayView {
        id: one.id.to_string(),
        runs_30_days: lately.map(|lately| lately.runs(one.id)),
        billed_30_days_micros: lately.map(|lately| lately.billed(one.id)),
        link: LinkView::of(ws, &one),
        turned_away: app.hosts.odds(ws.id, one.id, app.clock.now()),
        troubles: TroubleView::of(ws, &one),
        copies: CopyView::of(ws, one.id),
        health: standing.health,
        slow: standing.is_slow,
        local,
        fingerprint: one.host_key.as_ref().map(fingerprint),
        version: if local { env!("CARGO_PKG_VERSION").to_owned() } else { one.version },
        system: beat.map(|beat| beat.system).unwrap_or_default(),
        agents: queries::agents_on(read, one.id)?.into_iter().map(|agent| agent.slug).collect(),
        load,
        last_seen_at: standing.since,
        label: one.label,
        slug: one.slug,
        labels: one.labels,
        address: one.address,
        addresses: one.addresses,
        status: one.status,
        status_reason: one.status_reason,
        joined_at: one.joined_at,
        ready_at: one.ready_at,
        grant_micros: one.grant_micros,
        cut_hours: one.cut_hours,
    })
}

async fn list(ws: Ws) -> Result<Json<Gateways>, ApiError> {
    let items = ws.read_blocking(|ws| {
        ws.read(|snap| {
            let all = queries::gateways(snap)?.into_iter();
            all.map(|one| view(ws, snap, (one, None))).collect::<Result<Vec<_>, GatewayError>>()
        })
    });
    Ok(Json(Gateways { items: items.await? }))
}

/// The view of the gateway with this id, slug or label.
async fn shown(ws: &Ws, name: String) -> Result<Json<GatewayView>, ApiError> {
    let view = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let one = queries::gateway(snap, &name)?;
            view(ws, snap, (one, Some(&Lately::read(ws, snap)?)))
        })
    });
    Ok(Json(view.await?))
}

async fn show(ws: Ws, Path(name): Path<String>) -> Result<Json<GatewayView>, ApiError> {
    shown(&ws, name).await
}

/// What the machine of a gateway can see.
#[derive(Serialize, JsonSchema)]
struct ScopeView {
    items: Vec<TableView>,
}

/// A table of which it can see rows.
#[derive(Serialize, JsonSchema)]
struct TableView {
    table: &'static str,
    rows: u64,
}

async fn scope(ws: Ws, Path(name): Path<String>) -> Result<Json<ScopeView>, ApiError> {
    let id = ws.read(|snap| queries::gateway(snap, &name))?.id;
    if id == local() {
        let text = "HQ runs on this machine, which has the whole workspace";
        return Err(ApiError(Failure::new(ProblemKind::Conflict, "has_all", text)));
    }
    let seen =
        ws.read_blocking(move |ws| mirror::what_it_sees(&ws.store, id, &queries::bound)).await?;
    let items = seen.into_iter().map(|(table, rows)| TableView { table, rows }).collect();
    Ok(Json(ScopeView { items }))
}

/// What a gateway is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    label: Option<String>,
    /// All of its labels: `gpu`, `region=eu`.
    labels: Option<Vec<String>>,
    /// Where people reach it, in place of what it reports; empty for none.
    address: Option<String>,
    /// What each run there may spend while it is cut off, in micro-dollars: 0 to 1,000,000,000.
    grant_micros: Option<i64>,
    /// For how many hours after the cut: 0 to 720.
    cut_hours: Option<u32>,
}

async fn change(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    extract::Patch(body): extract::Patch<ChangeBody>,
) -> Result<Json<GatewayView>, ApiError> {
    let id = ws.read(|snap| queries::gateway(snap, &name))?.id;
    let patch = Patch {
        label: body.label,
        labels: body.labels,
        address: body.address,
        grant_micros: body.grant_micros,
        cut_hours: body.cut_hours,
    };
    ws.write(&who, move |tx| rules::change(tx, id, patch)).await?;
    shown(&ws, id.to_string()).await
}

async fn pause(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<GatewayView>, ApiError> {
    let id = ws.read(|snap| queries::gateway(snap, &name))?.id;
    ws.write(&who, move |tx| rules::pause(tx, id)).await?;
    shown(&ws, id.to_string()).await
}

async fn resume(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<GatewayView>, ApiError> {
    let id = ws.read(|snap| queries::gateway(snap, &name))?.id;
    ws.write(&who, move |tx| rules::resume(tx, id)).await?;
    shown(&ws, id.to_string()).await
}

/// Which machine goes on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeepBody {
    /// The id of the copy of the gateway's folder.
    copy: String,
}

async fn keep(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<KeepBody>,
) -> Result<Json<GatewayView>, ApiError> {
    let one = ws.read(|snap| queries::gateway(snap, &name))?;
    linked::keep(&ws, &who, &one, &body.copy).await?;
    shown(&ws, one.id.to_string()).await
}

async fn revoke(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<GatewayView>, ApiError> {
    let id = ws.read(|snap| queries::gateway(snap, &name))?.id;
    let live = queries::live_runs(&ws, id)?;
    ws.write(&who, move |tx| rules::revoke(tx, id)).await?;
    ws.app.hosts.forgets(ws.id, id);
    live.into_iter().for_each(|run| ws.live.finish(run));
    shown(&ws, id.to_string()).await
}

async fn remove(ws: Ws, who: Person, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::gateway(snap, &name))?.id;
    ws.write(&who, move |tx| rules::remove(tx, id)).await?;
    ws.app.hosts.forgets(ws.id, id);
    Ok(StatusCode::NO_CONTENT)
}

/// Where an agent works.
#[derive(Serialize, JsonSchema)]
struct PlaceView {
    /// The slug of the agent.
    agent: String,
    /// The slug of the gateway; `local` is the machine that HQ runs on.
    gateway: String,
    /// What people call the gateway.
    label: String,
    /// How old its files here are, where its machine is silent or it was moved off one that is: what it wrote there since is
    /// not here.
    #[schemars(with = "Option<String>")]
    files_as_of: Option<Timestamp>,
}

/// Where an agent is to work.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlaceBody {
    /// The slug, the id or the name of the gateway; `local` for the machine that HQ runs on.
    gateway: String,
}

fn named(read: &dyn Read, name: &str) -> Result<Agent, GatewayError> {
    let found = agents::by_name(&read, name)?;
    found.ok_or_else(|| GatewayError::NoAgent(kernel::text::ellipsis(name, 60)))
}

fn placed(
    read: &dyn Read,
    agent: Agent,
    files_as_of: Option<Timestamp>,
) -> Result<Json<PlaceView>, GatewayError> {
    let at = queries::gateway_of(read, agent.id)?;
    let one = queries::gateway_by_id(read, at)?;
    Ok(Json(PlaceView { agent: agent.slug, gateway: one.slug, label: one.label, files_as_of }))
}

async fn place(ws: Ws, Path(name): Path<String>) -> Result<Json<PlaceView>, ApiError> {
    let shown = ws.read(|snap| {
        let agent = named(snap, &name)?;
        let files_as_of = silent_since(&ws, snap, agent.id)?;
        placed(snap, agent, files_as_of)
    });
    Ok(shown?)
}

async fn bind(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<PlaceBody>,
) -> Result<Json<PlaceView>, ApiError> {
    let (agent, to) = ws.read(|snap| {
        Ok::<_, GatewayError>((named(snap, &name)?, queries::gateway(snap, &body.gateway)?.id))
    })?;
    let id = agent.id;
    let (before, is_silent) = ws.read(|snap| {
        Ok::<_, StoreError>((silent_since(&ws, snap, id)?, is_silent(&ws, snap, id)?))
    })?;
    let moves = if is_silent { rules::bind_off_silent } else { rules::bind };
    let is_moved = ws.write(&who, move |tx| moves(tx, id, to)).await?;
    let shown = ws.read(|snap| {
        let files_as_of = if is_moved { before } else { silent_since(&ws, snap, id)? };
        placed(snap, agent, files_as_of)
    });
    Ok(shown?)
}

#[derive(Serialize, JsonSchema)]
struct Tokens {
    /// The newest first.
    items: Vec<TokenView>,
}

/// A token without its secret.
#[derive(Serialize, JsonSchema)]
struct TokenView {
    id: GatewayTokenId,
    /// Its beginning, which may be shown.
    mark: String,
    /// What the machine is to be called.
    label: String,
    labels: Vec<String>,
    /// `open`, `used`, `expired` or `revoked`.
    state: &'static str,
    /// The gateway that the machine became.
    gateway: Option<String>,
    /// How often others were turned away who came with it.
    refused: u32,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    expires_at: Timestamp,
    #[schemars(with = "Option<String>")]
    called_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    used_at: Option<Timestamp>,
}

fn token_view(one: GatewayToken, now: Timestamp) -> TokenView {
    TokenView {
        id: one.id,
        mark: format!("{}{}", TokenKind::Gateway.prefix(), one.public),
        state: match (one.used_at, one.revoked_at) {
            (Some(_), _) => "used",
            (None, Some(_)) => "revoked",
            (None, None) if one.is_open(now) => "open",
            (None, None) => "expired",
        },
        gateway: one.gateway.map(|id| id.to_string()),
        refused: one.refused,
        created_at: one.created_at,
        expires_at: one.expires_at,
        called_at: one.called_at,
        used_at: one.used_at,
        label: one.label,
        labels: one.labels,
    }
}

async fn tokens(ws: Ws) -> Result<Json<Tokens>, ApiError> {
    let now = ws.app.clock.now();
    let all = ws.read(|snap| queries::tokens(snap))?;
    Ok(Json(Tokens { items: all.into_iter().map(|one| token_view(one, now)).collect() }))
}

/// A machine that is to join.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// What it is to be called.
    label: String,
    /// What it has or is: `gpu`, `region=eu`.
    #[serde(default)]
    labels: Vec<String>,
    /// How many minutes the token is good: 5 to 60, 15 unless said otherwise.
    minutes: Option<i64>,
}

/// A new token with its secret.
#[derive(Serialize, JsonSchema)]
struct Fresh {
    /// The token itself, never shown again.
    secret: String,
    /// The address at which the machine reaches this HQ.
    address: String,
    /// The fingerprint of this workspace's own key, by which the machine knows it.
    fingerprint: String,
    /// The line to run there; none where HQ is reached by plain http.
    command: Option<String>,
    /// What is run by hand, with the token in the file `join.token`.
    by_hand: String,
    token: TokenView,
}

async fn mint(
    app: App,
    ws: Ws,
    who: Person,
    _: NoKey,
    Json(body): Json<NewBody>,
) -> Result<Response, ApiError> {
    let place = Place::of(&app.config);
    let Some(address) = place.address() else {
        let failure = Failure::new(ProblemKind::Conflict, "no_public_address", place.why_not());
        return Err(ApiError(failure));
    };
    let token = Token::issue(TokenKind::Gateway);
    let NewBody { label, labels, minutes } = body;
    let (public, hash) = (token.id().to_owned(), token.hash());
    let new = NewToken { public, hash, label, labels, minutes };
    let made = ws.write(&who, move |tx| rules::mint(tx, new)).await?;
    let key = fingerprint(identity(&ws).await?.public().as_bytes());
    let fresh = Fresh {
        command: place.command(token.reveal(), &key, ""),
        by_hand: place.by_hand(&key),
        address: address.to_owned(),
        secret: token.reveal().to_owned(),
        fingerprint: key,
        token: token_view(made, app.clock.now()),
    };
    Ok((StatusCode::CREATED, Json(fresh)).into_response())
}

async fn revoke_token(
    ws: Ws,
    who: Person,
    Path(id): Path<GatewayTokenId>,
) -> Result<StatusCode, ApiError> {
    ws.write(&who, move |tx| rules::revoke_token(tx, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
