//! The list of connections; refreshes itself.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{self as agents, Called};
use features::connections::model::{
    Connection, Cooldown, Fallbacks, Grant, ListedModel, Offers, UsualThinking,
};
use features::connections::queries::eligible::{self, Reason};
use features::connections::queries::{self, Choice as Chosen, ModelRequest, PRACTICE_LABEL, turns};
use features::history::queries as history;
use features::usage::model::price::EnteredPrice;
use features::usage::queries::prices::{self, Offered};
use features::workspace::model::Settings;
use kernel::{Can, ConnectionId, Thinking, Timestamp};
use providers::catalog::{self, Model, Price};
use providers::quota::Window;
use store::{ReadExt, StoreError};
use web::error::PageError;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Dot, Face, colour_of};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::{HERE, MENU};

/// How many models of a connection are listed; the rest is counted.
const SHOWN: usize = 20;

pub(super) struct ConnView {
    id: ConnectionId,
    name: String,
    initial: String,
    colour: u8,
    meta: String,
    dot: Dot,
    is_default: bool,
    is_own: bool,
    glyph: &'static str,
    route: String,
    key: String,
    tested_at: Option<RelTime>,
    result: Dot,
    result_glyph: &'static str,
    error: String,
    said: String,
    models: Vec<ModelView>,
    models_count: String,
    more: String,
    open: bool,
    edit_label: String,
    edit_href: String,
    test_href: String,
    models_href: String,
    rests: Vec<RestView>,
    /// Remaining quota of the account.
    quota: Vec<QuotaView>,
    wake_href: String,
    /// How calls are paid for.
    way: &'static str,
    /// Action needed from a person before the connection works; empty if none.
    needs: &'static str,
    /// Address of the sign-in; empty for a connection with a key.
    sign_in_href: String,
}

/// A cooldown after a failure.
struct RestView {
    what: String,
    why: String,
    until: RelTime,
}

/// A quota window and its remaining share.
struct QuotaView {
    name: String,
    left: u8,
    resets_at: Option<RelTime>,
}

struct ModelView {
    id: String,
    can: String,
    window: String,
    input: String,
    output: String,
    is_default: bool,
    used_by: Vec<Face>,
    used_names: String,
}

struct PracticeView {
    name: &'static str,
    is_default: bool,
    dot: Dot,
}

#[derive(Template)]
#[template(path = "connections/list.html")]
struct ListPage {
    shell: Shell,
    here: &'static str,
    manages: bool,
    live: Live,
    picks: Vec<Choice>,
    thinking: Vec<Choice>,
    fallbacks: Vec<turns::Place>,
    order_history: String,
    default: String,
    conns: Vec<ConnView>,
    practice: PracticeView,
}

#[derive(Template)]
#[template(path = "connections/all.html")]
struct AllPart {
    shell: Shell,
    manages: bool,
    live: Live,
    picks: Vec<Choice>,
    thinking: Vec<Choice>,
    fallbacks: Vec<turns::Place>,
    order_history: String,
    default: String,
    conns: Vec<ConnView>,
    practice: PracticeView,
}

#[derive(Template)]
#[template(path = "connections/one.html")]
struct OnePart {
    manages: bool,
    conn: ConnView,
}

/// Data that the page reads once.
struct ConnectionsContext {
    settings: Option<Settings>,
    connections: Vec<Connection>,
    uses: Vec<(Agent, Chosen)>,
    called: Called,
    rests: Vec<Cooldown>,
    offers: Vec<Offers>,
    keys: Vec<(ConnectionId, usize)>,
    reasons: Vec<(ConnectionId, Reason)>,
    labels: Vec<(ConnectionId, Option<String>)>,
    prices: Vec<EnteredPrice>,
    now: Timestamp,
}

impl ConnectionsContext {
    fn read(ws: &Ws) -> Result<Self, StoreError> {
        let now = ws.app.clock.now();
        ws.read(|snap| {
            let mut uses = Vec::new();
            let all = agents::all(snap)?;
            let called = Called::among(&all);
            for agent in all {
                let request = ModelRequest { message: None, task: None, agent: &agent };
                let choice = queries::resolve(snap, request)?;
                uses.push((agent, choice));
            }
            let connections = queries::all(snap)?;
            let (mut rests, mut offers, mut keys) = (Vec::new(), Vec::new(), Vec::new());
            let (mut reasons, mut labels) = (Vec::new(), Vec::new());
            for connection in &connections {
                let reason = eligible::why_not(snap, connection, &ws.app.keyring, now)?;
                reasons.extend(reason.map(|reason| (connection.id, reason)));
                let grant = snap.get::<Grant>(connection.id)?;
                labels.extend(grant.map(|grant| (connection.id, grant.label)));
                rests.extend(turns::rests_of(snap, connection.id, now)?);
                offers.extend(snap.get::<Offers>(connection.id)?);
                keys.push((connection.id, turns::slots(snap, connection.id)?.len()));
            }
            let (settings, prices) = (snap.get::<Settings>(())?, prices::all(snap)?);
            Ok(Self {
                settings,
                connections,
                uses,
                called,
                rests,
                offers,
                keys,
                reasons,
                labels,
                prices,
                now,
            })
        })
    }

    fn default(&self) -> (Option<ConnectionId>, String) {
        let connection = self.settings.as_ref().and_then(|s| s.default_connection);
        let model = self.settings.as_ref().and_then(|s| s.default_model.clone());
        (connection, model.unwrap_or_else(|| queries::PRACTICE.to_owned()))
    }
}

pub(super) async fn show(ws: Ws, who: Person, shell: Shell, hx: Hx) -> Result<Response, PageError> {
    let scene = ConnectionsContext::read(&ws)?;
    let manages = who.access.may(Can::Admin);
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let conns = scene.connections.iter().map(|c| view(&ws, &scene, c, &zone)).collect();
    let (default_id, default_model) = scene.default();
    let picks = ws.read(|snap| queries::picks(snap))?.into_iter().map(|pick| {
        let is_now = pick.connection == default_id && pick.model == default_model;
        Choice::new(pick.value(), pick.label(), is_now)
    });
    let picks = picks.collect();
    let practice = PracticeView {
        name: PRACTICE_LABEL,
        is_default: default_id.is_none(),
        dot: Dot::new("ready", "Always available"),
    };
    let fallbacks = ws.read(|snap| turns::fallback_fields(snap, None))?;
    let order = Fallbacks::key(None);
    let order_history = ws.read(|snap| history::href_if_any::<Fallbacks>(&ws, snap, order))?;
    let thinking = thinking(&ws, default_id, &default_model)?;
    let live = Live::new(ws.url(HERE))
        .table("connections")
        .table("connection_grants")
        .table("settings")
        .table("agents")
        .table("model_cooldowns")
        .table("model_fallbacks")
        .table("prices");
    let default = default_model;
    if hx.wants("connections") {
        return html::fragment(&AllPart {
            shell,
            manages,
            live,
            picks,
            thinking,
            fallbacks,
            order_history,
            default,
            conns,
            practice,
        });
    }
    let here = MENU;
    html::page(&ListPage {
        shell,
        here,
        manages,
        live,
        picks,
        thinking,
        fallbacks,
        order_history,
        default,
        conns,
        practice,
    })
}

/// The thinking levels of the workspace's model, with the current one selected.
fn thinking(
    ws: &Ws,
    connection: Option<ConnectionId>,
    model: &str,
) -> Result<Vec<Choice>, StoreError> {
    ws.read(|snap| {
        let usual = snap.get::<UsualThinking>(())?.map_or(Thinking::None, |usual| usual.level);
        let levels = turns::levels(snap, connection, model)?;
        let shown = |level: &&Thinking| levels.contains(level) || **level == usual;
        let choice = |level: &Thinking| Choice::new(level.word(), level.label(), *level == usual);
        Ok(Thinking::ALL.iter().filter(shown).map(choice).collect())
    })
}

/// One connection, after a test.
pub(super) fn one(ws: &Ws, who: &Person, id: ConnectionId) -> Result<Response, PageError> {
    let scene = ConnectionsContext::read(ws)?;
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let found = scene.connections.iter().find(|connection| connection.id == id);
    let found = found.ok_or_else(|| PageError::not_found("This connection"))?;
    let conn = view(ws, &scene, found, &zone);
    html::fragment(&OnePart { manages: who.access.may(Can::Admin), conn })
}

/// Result of the last test: dot of the connection, dot and icon of its route, error, success text.
fn outcome(connection: &Connection) -> (Dot, Dot, &'static str, String, String) {
    match &connection.tested {
        None => (
            Dot::new("none", "Not tested"),
            Dot::new("none", "–"),
            "",
            String::new(),
            String::new(),
        ),
        Some(tested) if tested.ok => (
            Dot::new("healthy", "Healthy"),
            Dot::new("done", "Works"),
            "done",
            String::new(),
            tested.message.clone(),
        ),
        Some(tested) => (
            Dot::new("error", "Failed"),
            Dot::new("error", "Failed"),
            "warn",
            tested.message.clone(),
            String::new(),
        ),
    }
}

fn view(ws: &Ws, scene: &ConnectionsContext, connection: &Connection, zone: &TimeZone) -> ConnView {
    let (default_id, default_model) = scene.default();
    let id = connection.id;
    let is_own = queries::is_own(connection);
    let users = scene.uses.iter().filter(|(_, choice)| choice.connection == Some(id)).count();
    let used = match users {
        0 => "Not used by any agent".to_owned(),
        n => format!("Used by {}", format::count(n as u64, "agent", "agents")),
    };
    let (dot, result, result_glyph, error, message) = outcome(connection);
    // The test already reports a missing key or an empty list. These reasons need a person.
    let reason = scene.reasons.iter().find(|(of, _)| *of == id).map(|(_, reason)| *reason);
    let reason = reason.filter(|reason| match reason {
        Reason::UnresolvedRef | Reason::IneligibleProfile => true,
        reason => connection.sign_in.is_some() && reason.is_of_sign_in(),
    });
    let dot = match reason {
        Some(Reason::MissingCredential) => Dot::new("none", "Not signed in"),
        Some(Reason::Expired | Reason::InvalidExpires) => Dot::new("error", "Sign in again"),
        _ => dot,
    };
    let href = |tail: &str| ws.url(&format!("{HERE}/{id}{tail}"));
    let mut models: Vec<&ListedModel> = connection.models.iter().collect();
    models.sort_by_key(|model| (catalog::rank(&model.id), model.id.clone()));
    let total = models.len();
    let default_here = connection.default_model.as_deref();
    let models: Vec<ModelView> = models
        .into_iter()
        .take(SHOWN)
        .map(|model| {
            let is_default = default_id == Some(id) && model.id == default_model;
            model_view(scene, connection, &model.id, is_default)
        })
        .collect();
    ConnView {
        id,
        initial: connection.name.chars().next().map_or_else(String::new, |c| c.to_string()),
        colour: colour_of(&connection.name),
        meta: match default_here {
            Some(model) => format!("{used} · default model {model}"),
            None => used,
        },
        dot,
        is_default: default_id == Some(id),
        is_own,
        glyph: match connection.key_hint.is_some() || connection.sign_in.is_some() {
            true => "key",
            false => "server",
        },
        route: connection.base_url.clone(),
        key: keys(scene, connection),
        rests: rests(ws, scene, (id, error.as_str()), zone),
        quota: quota(ws, id, zone),
        wake_href: href("/wake"),
        way: queries::route(connection).label(),
        needs: reason.map_or("", Reason::says),
        sign_in_href: match connection.sign_in {
            Some(_) => href("/sign-in"),
            None => String::new(),
        },
        tested_at: connection
            .tested
            .as_ref()
            .map(|tested| RelTime::new(tested.at, ws.app.clock.now(), zone)),
        result,
        result_glyph,
        error,
        said: message,
        models_count: match total {
            0 => "none found yet".to_owned(),
            n => n.to_string(),
        },
        more: match total.saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("and {n} more. You can use any model ID the server knows."),
        },
        models,
        open: false,
        edit_label: format!("Edit {}", connection.name),
        edit_href: href(""),
        test_href: href("/test"),
        models_href: href("/models"),
        name: connection.name.clone(),
    }
}

fn keys(scene: &ConnectionsContext, connection: &Connection) -> String {
    if connection.sign_in.is_some() {
        return match scene.labels.iter().find(|(id, _)| *id == connection.id) {
            Some((_, Some(label))) => format!("account {label}"),
            Some((_, None)) => "account".to_owned(),
            None => "not signed in".to_owned(),
        };
    }
    let first = match &connection.key_hint {
        Some(hint) if hint.chars().count() > 1 => format!("key ends in {hint}"),
        Some(_) => "key saved".to_owned(),
        None => "no key".to_owned(),
    };
    match scene.keys.iter().find(|(id, _)| *id == connection.id).map_or(1, |(_, count)| *count) {
        0 | 1 => first,
        count => format!("{first}, {count} keys in total"),
    }
}

/// Cooldowns and their reasons, without those that the last test has already reported.
fn rests(
    ws: &Ws,
    scene: &ConnectionsContext,
    (id, message): (ConnectionId, &str),
    zone: &TimeZone,
) -> Vec<RestView> {
    let of = scene.rests.iter().filter(|rest| rest.connection == id);
    let view = |rest: &Cooldown| {
        let key = if rest.slot == 0 { String::new() } else { format!(", key {}", rest.slot + 1) };
        RestView {
            what: match &rest.model {
                Some(model) => format!("{model}{key}"),
                None => format!("All models{key}"),
            },
            why: match message.contains(rest.class.advice()) {
                true => String::new(),
                false => rest.class.explained(&rest.message),
            },
            until: RelTime::new(rest.until, ws.app.clock.now(), zone),
        }
    };
    of.map(view).collect()
}

fn quota(ws: &Ws, id: ConnectionId, zone: &TimeZone) -> Vec<QuotaView> {
    let now = ws.app.clock.now();
    let windows = ws.app.accounts.of(id).gauge.reading().map(|reading| reading.windows);
    // A window that has been reset since has no current reading.
    let stands = |window: &Window| window.resets_at.is_none_or(|at| now < at);
    let view = |window: Window| QuotaView {
        name: window.name,
        left: window.left,
        resets_at: window.resets_at.map(|at| RelTime::new(at, now, zone)),
    };
    windows.unwrap_or_default().into_iter().filter(stands).map(view).collect()
}

/// Capabilities of a model in a few words; a dash if unknown.
fn abilities(model: &Model) -> String {
    if model.vendor.is_empty() && model.window == Model::unknown("").window {
        return "–".to_owned();
    }
    let mut words = Vec::new();
    words.push(if model.tools { "tools" } else { "chat only" });
    if model.vision {
        words.push("vision");
    }
    if model.levels().len() > 1 {
        words.push("thinking");
    }
    words.join(", ")
}

fn model_view(
    scene: &ConnectionsContext,
    connection: &Connection,
    id: &str,
    is_default: bool,
) -> ModelView {
    let described = match queries::base_of(connection) {
        Ok(base) => catalog::describe(id).at(&base),
        Err(_) => catalog::describe(id),
    };
    let offers = scene.offers.iter().find(|offers| offers.connection == connection.id);
    let offer = offers.and_then(|offers| offers.models.iter().find(|offer| offer.id == id));
    let described = match offer {
        Some(offer) => described.with_info(&turns::as_info(offer.clone())),
        None => described,
    };
    let has_window = offer.is_some_and(|o| o.window.is_some()) || !described.vendor.is_empty();
    let can = abilities(&described);
    let window = match has_window {
        true => format::tokens(u64::from(described.window)),
        false => "–".to_owned(),
    };
    let priced = queries::priced(Some(connection), described);
    let route = queries::route(connection);
    let offered = Offered { name: id, connection: Some(connection.id), route };
    let entered = prices::entered(&scene.prices, offered, &priced, scene.now);
    let priced = entered.unwrap_or(priced);
    let users: Vec<&Agent> = scene
        .uses
        .iter()
        .filter(|(_, choice)| choice.connection == Some(connection.id) && choice.model == id)
        .map(|(agent, _)| agent)
        .collect();
    ModelView {
        id: id.to_owned(),
        window,
        can,
        input: dollars(priced.price, |price| price.input),
        output: dollars(priced.price, |price| price.output),
        is_default,
        used_names: users.iter().map(|a| scene.called.name(a)).collect::<Vec<_>>().join(", "),
        used_by: users.iter().map(|a| scene.called.face(a)).collect(),
    }
}

/// Dollars per million tokens; a dash if unknown.
fn dollars(price: Option<Price>, part: impl Fn(&Price) -> u64) -> String {
    match price {
        None => "–".to_owned(),
        Some(price) if price.is_free() => "free".to_owned(),
        Some(price) => {
            let cents = (part(&price) + 5_000) / 10_000;
            format!("{}.{:02}", cents / 100, cents % 100)
        }
    }
}
