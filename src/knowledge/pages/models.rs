//! Settings, Semantic search: which models there are, which is in use, who makes vectors in its place, and how far it
//! is.

use askama::Template;
use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use embed::{FILES, Folder, Pooling, Terms};
use kernel::Can;
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::format;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html, upload};

use super::acts::not_done;
use crate::error::KnowledgeError;
use crate::meaning::far::{self, Able, Estimate};
use crate::meaning::models::{self, Line};
use crate::meaning::ready::{self, Cost};
use crate::model::ModelAct;

const HERE: &str = "settings/meaning";

/// A model.
struct Row {
    id: String,
    name: String,
    /// Recommended use.
    about: String,
    size: String,
    sha256: String,
    /// Origin.
    source: String,
    used: bool,
    here: bool,
    /// Whether HQ may delete it.
    removable: bool,
}

/// A model that waits for confirmation.
struct Stranger {
    hashes: Vec<(&'static str, String)>,
    given: bool,
}

/// A download in progress.
struct Coming {
    name: String,
    percent: u8,
    words: String,
}

/// Estimated cost of embedding all passages by a connection.
struct Priced {
    connection: String,
    name: String,
    model: String,
    words: String,
}

struct View {
    url: String,
    manages: bool,
    /// The connection that embeds; empty for the local model.
    by: String,
    rows: Vec<Row>,
    used: String,
    /// Whether everything can be found, and what cannot.
    is_ready: bool,
    ready: String,
    /// Number of embedded passages, out of all.
    passages: String,
    waiting: usize,
    /// Daily cost and its basis; `None` if nothing is paid.
    cost: Option<(String, String)>,
    troubles: Vec<String>,
    coming: Option<Coming>,
    stranger: Option<Stranger>,
    partial: bool,
}

#[derive(Template)]
#[template(path = "knowledge/models.html")]
struct ModelsPage {
    shell: Shell,
    here: &'static str,
    view: View,
    poolings: Vec<Choice>,
    may_choose: bool,
    /// Connections that can embed.
    makers: Vec<Choice>,
    /// Whether there is such a connection.
    any: bool,
    model: String,
    /// Models of these connections.
    models: Vec<&'static str>,
    priced: Option<Priced>,
}

#[derive(Template)]
#[template(path = "knowledge/_models.html")]
struct Region {
    view: View,
}

/// The connection whose price is requested.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelsPageParams {
    /// A connection's id; empty for the local model.
    connection: String,
    model: String,
}

pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<ModelsPageParams>,
) -> Result<Response, PageError> {
    let may_choose = who.access.may(Can::Admin);
    let view = ws.read_blocking(move |ws| view(ws, &who)).await?;
    if hx.wants("models") {
        return html::fragment(&Region { view });
    }
    let (offered, model) = (params.connection.clone(), params.model.trim().to_owned());
    let (able, chosen, priced) = ws
        .read_blocking(move |ws| {
            let priced = match (params.connection.as_str(), params.model.trim()) {
                ("", _) | (_, "") => None,
                (connection, model) => Some(far::estimate(ws, connection, model)?),
            };
            Ok::<_, KnowledgeError>((far::able(ws)?, far::chosen(ws)?, priced))
        })
        .await?;
    let now = chosen.as_ref().map(|(maker, _)| maker.connection.to_string()).unwrap_or_default();
    let taken = if offered.is_empty() { now } else { offered };
    let model = match chosen {
        Some((maker, _)) if model.is_empty() => maker.model,
        _ => model,
    };
    let maker = |one: &Able| {
        let id = one.id.to_string();
        let is_taken = id == taken;
        Choice::new(id, one.name.clone(), is_taken)
    };
    let makers = able.iter().map(maker).collect();
    let mut models: Vec<&str> = able.iter().flat_map(|one| one.models.iter().copied()).collect();
    models.sort_unstable();
    models.dedup();
    let priced = priced.map(price);
    let any = !able.is_empty();
    let poolings = vec![
        Choice::new("mean", "Mean of all tokens", true),
        Choice::new("first", "First token (CLS)", false),
    ];
    html::page(&ModelsPage {
        shell,
        here: "meaning",
        view,
        poolings,
        may_choose,
        makers,
        any,
        model,
        models,
        priced,
    })
}

fn price(of: Estimate) -> Priced {
    let passages = format::count(of.passages as u64, "passage", "passages");
    let tokens = format::grouped(of.tokens);
    let cost = match of.micros {
        _ if of.is_free => "no cost per token".to_owned(),
        Some(micros) => format!("about {}", format::money(micros)),
        None => "price unknown".to_owned(),
    };
    Priced {
        connection: of.connection.to_string(),
        name: of.name,
        model: of.model,
        words: format!("{passages}, about {tokens} tokens: {cost}."),
    }
}

/// Daily cost and its basis.
fn paid(cost: Cost) -> (String, String) {
    let shown = match cost.a_day {
        _ if cost.is_free => "Free".to_owned(),
        Some(micros) => format::money(micros),
        None => "Unknown".to_owned(),
    };
    let calls = format::count(cost.calls, "request", "requests");
    let of = match (cost.is_free, cost.a_day, cost.days) {
        (true, _, _) => "no cost per token".to_owned(),
        (false, None, _) => "no price for this model".to_owned(),
        (false, Some(_), 1) => format!("today, {calls}"),
        (false, Some(_), days) => format!("last {days} days, {calls}"),
    };
    (shown, of)
}

/// Selects a connection or the local model for embedding.
pub(super) async fn connect(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<ModelsPageParams>,
) -> Result<Response, PageError> {
    let message = if form.connection.is_empty() {
        far::choose_local(&ws, &who).await?;
        "HQ now embeds passages on this machine".to_owned()
    } else {
        match far::choose(&ws, &who, (&form.connection, &form.model)).await {
            Ok(chosen) => format!("{} now embeds passages", chosen.model),
            Err(error) => return not_done(&app, &hx, error, &ws.url(HERE)),
        }
    };
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url(HERE))))
}

fn view(ws: &Ws, who: &Person) -> Result<View, KnowledgeError> {
    let all = models::all(&ws.app)?;
    let coming = ws.app.meaning.coming();
    let used = crate::meaning::source(ws)?;
    let by = far::chosen(ws)?.map(|(_, name)| name).unwrap_or_default();
    let ready = ready::of(ws)?;
    let name = |id: &str| id.split('@').next().unwrap_or(id).to_owned();
    let percent = (coming.have.saturating_mul(100)).checked_div(coming.all).unwrap_or(0).min(100);
    Ok(View {
        url: ws.url(HERE),
        manages: models::only_managers(&ws.app, who.account).is_ok(),
        used: used.map(|source| source.name().to_owned()).unwrap_or_default(),
        by,
        passages: match ready.passages == ready.all {
            true => format::grouped(ready.all as u64),
            false => {
                let [here, all] = [ready.passages, ready.all].map(|n| format::grouped(n as u64));
                format!("{here} of {all}")
            }
        },
        waiting: ready.all - ready.passages,
        is_ready: ready.is_ready,
        ready: ready.says,
        cost: ready.cost.map(paid),
        troubles: models::troubles(ws, &all),
        coming: (!coming.id.is_empty()).then(|| Coming {
            name: name(&coming.id),
            percent: u8::try_from(percent).unwrap_or(100),
            words: format!("{} of {}", format::size(coming.have), format::size(coming.all)),
        }),
        stranger: all.unknown.map(|(folder, given)| stranger(&folder, given)),
        partial: all.is_partial,
        rows: all.lines.into_iter().map(row).collect(),
    })
}

fn row(line: Line) -> Row {
    let model = &line.model;
    let (layers, length) = (model.shape.layers, model.max_tokens);
    let language = if model.repository.is_some() { "English. " } else { "" };
    Row {
        about: format!("{language}{layers} layers, up to {length} tokens per passage."),
        size: match line.bytes {
            Some(bytes) => format::size(bytes),
            None => format!("about {} MB", model.megabytes()),
        },
        sha256: model.files[2].sha256.map(hex::encode).unwrap_or_default(),
        source: model.repository.map(|at| format!("huggingface.co/{at}")).unwrap_or_default(),
        used: line.is_used,
        here: line.bytes.is_some(),
        removable: line.bytes.is_some() && !line.is_used && !line.given,
        id: model.id.to_string(),
        name: model.name.to_string(),
    }
}

fn stranger(folder: &Folder, given: bool) -> Stranger {
    let hashes = FILES.into_iter().zip(folder.hashes.map(hex::encode));
    Stranger { hashes: hashes.collect(), given }
}

/// The selected model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    id: String,
}

pub(super) async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(verb): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, PageError> {
    models::only_managers(&app, who.account)?;
    let (own, id) = (app.clone(), which.id.clone());
    let message = ws.read_blocking(move |_| {
        Ok::<_, KnowledgeError>(match verb.as_str() {
            "download" => {
                models::fetch(&own, &id)?;
                ("Download started", Some(ModelAct::Fetched))
            }
            "use" => {
                models::choose(&own, &id)?;
                ("This model now embeds passages", Some(ModelAct::Used))
            }
            "off" => {
                models::choose(&own, "")?;
                ("Semantic search is off", Some(ModelAct::Off))
            }
            "remove" => {
                models::remove(&own, &id)?;
                ("Removed the model's files", Some(ModelAct::Removed))
            }
            "discard" => {
                models::discard(&own)?;
                ("Removed the uploaded files", None)
            }
            _ => return Err(KnowledgeError::no("action", &verb)),
        })
    });
    let (message, act) = message.await?;
    if let Some(act) = act {
        let model = if act == ModelAct::Off { "" } else { which.id.as_str() };
        models::note(&ws, &who, act, model).await?;
    }
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url(HERE))))
}

pub(super) async fn send(
    app: App,
    ws: Ws,
    who: Person,
    request: Request,
) -> Result<Response, PageError> {
    models::only_managers(&app, who.account)?;
    let (parts, body) = request.into_parts();
    let arrived = upload::form(&ws, (&parts.headers, body), FILES.len(), models::LARGEST).await?;
    let hx = Hx::from_headers(&parts.headers);
    let own = app.clone();
    let message = ws.read_blocking(move |ws| {
        for one in &arrived {
            models::receive_blob(ws, &one.name, one.blob)?;
        }
        // A known model needs no confirmation; otherwise the page states what is missing.
        match models::take_in(&own, None).and_then(|model| models::used(&own, model)) {
            Ok(model) => Ok(Some(model)),
            Err(_) if models::are_sent(&own) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let message = match message.await? {
        Some(model) => {
            models::note(&ws, &who, ModelAct::Used, &model.id).await?;
            format!("{} now embeds passages", model.name)
        }
        None => "Files uploaded".to_owned(),
    };
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url(HERE))))
}

/// The form of a model card.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Card {
    name: String,
    pooling: String,
    query_prefix: String,
    passage_prefix: String,
    given: String,
}

pub(super) async fn confirm(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(card): Form<Card>,
) -> Result<Response, PageError> {
    models::only_managers(&app, who.account)?;
    let name = card.name.trim().to_owned();
    let terms = Terms {
        name: if name.is_empty() { "Own model".to_owned() } else { name },
        pooling: if card.pooling == "first" { Pooling::First } else { Pooling::Mean },
        query_prefix: card.query_prefix,
        passage_prefix: card.passage_prefix,
    };
    let own = app.clone();
    let made = ws.read_blocking(move |_| {
        let model = match card.given.is_empty() {
            true => models::take_in(&own, Some(terms)),
            false => models::confirm_given(&own, terms),
        };
        models::used(&own, model?)
    });
    let model = made.await?;
    models::note(&ws, &who, ModelAct::Used, &model.id).await?;
    let message = format!("{} now embeds passages", model.name);
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url(HERE))))
}
