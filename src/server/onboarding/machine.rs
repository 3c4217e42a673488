//! Onboarding step: checks of the machine. Each has a sentence, and a remedy if something is missing.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::de::IgnoredAny;

use app::{App, Ws};
use features::health::queries::{self as health, How, Part};
use features::onboarding::model::Step;
use features::trust::jail;
use gateways::model::Status;
use gateways::place::Place;
use kernel::AccountId;
use sandbox::policy::WithoutLandlock;
use sandbox::posture::Overall;
use store::StoreError;
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::session::Person;
use web::shell::Theme;

use super::{Steps, address, at, complete_step};

/// The health checks that matter before first use.
const PARTS: [&str; 3] = ["storage", "disk", "key"];

struct Check {
    title: &'static str,
    said: String,
    word: &'static str,
    tone: &'static str,
    glyph: &'static str,
}

#[derive(Template)]
#[template(path = "onboarding/machine.html")]
struct Page {
    theme: Theme,
    steps: Steps,
    here: String,
    fine: bool,
    checks: Vec<Check>,
    gateways: GatewayOffer,
}

/// The offer of another machine for agents.
struct GatewayOffer {
    href: String,
    /// Why no machine can join; empty if machines can.
    why_not: String,
    /// Machines that were added, with their state.
    added: Vec<(String, &'static str)>,
}

pub(super) async fn show(
    app: App,
    ws: Ws,
    who: Person,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Machine)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let (checked, account) = (app.clone(), who.account);
    let parts = ws.read_blocking(move |ws| run_checks(&checked, ws, account)).await?;
    let fine = health::worst(&parts) == How::Ok;
    let gateways = offer(&app, &ws)?;
    html::page(&Page {
        theme: Theme::from_headers(&headers),
        steps: Steps::of(&ws, &open, Step::Machine),
        here: address(&ws, Step::Machine),
        fine,
        checks: parts.into_iter().map(check).collect(),
        gateways,
    })
}

fn offer(app: &App, ws: &Ws) -> Result<GatewayOffer, PageError> {
    let now = app.clock.now();
    let added = ws.read(|snap| {
        let all = gateways::queries::gateways(snap)?.into_iter();
        let joined = all.filter(|one| !one.is_local() && one.status != Status::Revoked);
        let with_state = joined.map(|one| {
            let standing = gateways::queries::standing(snap, &one, now)?;
            Ok((one.label, standing.health.label()))
        });
        with_state.collect::<Result<_, StoreError>>()
    })?;
    Ok(GatewayOffer {
        href: ws.url("settings/gateways/new"),
        why_not: Place::of(&app.config).why_not().to_owned(),
        added,
    })
}

fn check(part: Part) -> Check {
    let (word, tone, glyph) = match part.how {
        How::Ok => ("ready", "ok", "done"),
        How::Degraded => ("needs attention", "warn", "warn"),
        How::Down => ("not working", "danger", "block"),
    };
    Check { title: part.title, said: web::form::sentence(&part.said), word, tone, glyph }
}

/// Runs all checks. Blocking: starts two programs in the jail and takes about 100 ms.
fn run_checks(app: &App, ws: &Ws, who: AccountId) -> Result<Vec<Part>, PageError> {
    let all = health::parts(app, ws, who)?;
    let mut found: Vec<Part> = all.into_iter().filter(|part| PARTS.contains(&part.name)).collect();
    for part in found.iter_mut().filter(|part| part.name == "storage" && part.how == How::Ok) {
        part.said = "saved data survives a power failure".to_owned();
    }
    found.extend([files(ws), programs(app), address_of(app)]);
    Ok(found)
}

fn files(ws: &Ws) -> Part {
    let (how, message) = match ws.repo() {
        Ok(_) => {
            (How::Ok, "every change to an agent’s files is saved and can be undone".to_owned())
        }
        Err(error) => (How::Down, format!("the agent file history can’t be opened: {error}")),
    };
    Part { name: "files", title: "Agent files", how, said: message }
}

fn programs(app: &App) -> Part {
    let (how, message) = match jail::tested(app, WithoutLandlock::Refuse) {
        Ok(posture) => match (posture.overall, posture.starts) {
            (Overall::Strong, _) => {
                (How::Ok, "sandboxed to each agent’s folder, with no network access or secrets")
            }
            (Overall::Coarse, _) => (
                How::Ok,
                "sandboxed; run `hq doctor sandbox` to see what this machine isolates less \
                 strictly",
            ),
            (Overall::None, false) => (
                How::Degraded,
                "this system can’t sandbox them, so agents run no programs until you update the \
                 kernel (6.2 or later) or an owner allows it in the settings",
            ),
            (Overall::None, true) => (
                How::Degraded,
                "this system doesn’t sandbox them; update its kernel before agents run \
                 third-party programs",
            ),
        },
        Err(error) => {
            tracing::warn!(%error, "the self-test of the jail failed");
            (How::Degraded, "the sandbox couldn’t be tested; run `hq doctor sandbox` for details")
        }
    };
    Part { name: "programs", title: "Agent programs", how, said: message.to_owned() }
}

fn address_of(app: &App) -> Part {
    let message = match &app.config.public_url {
        Some(url) => format!("HQ is reachable at {url}"),
        None if app.config.listen.ip().is_loopback() => {
            "HQ is only reachable from this machine; see the README to open it up".to_owned()
        }
        None => {
            format!("HQ is reachable from the whole network on port {}", app.config.listen.port())
        }
    };
    Part { name: "address", title: "Address", how: How::Ok, said: message }
}

pub(super) async fn go_on(
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(IgnoredAny, _): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    complete_step(&ws, &who, &hx, Step::Machine).await
}
