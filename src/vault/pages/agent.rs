//! Secrets of an agent: its own, inherited ones, overrides, and how each one reaches the agent.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::response::Response;

use jiff::ToSpan as _;
use serde::Deserialize;

use app::Ws;
use features::agents::queries::head::{self, Head, Place};
use features::tasks::queries::due;
use features::tasks::queries::view_context::ViewContext;
use gateways::queries as places;
use kernel::day::{self, Toward};
use kernel::{AgentId, Can, Timestamp};
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Path, Query};
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::Dot;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::{HERE, TABLES, list};
use crate::error::VaultError;
use crate::given;
use crate::model::{Scope, Secret, Use};
use crate::queries::{self, Held};
use crate::sync::{self, Machines};

/// Uses that are searched for an agent's last use of a secret.
const USES: usize = 200;
/// Uses that are searched for the list of recent uses.
const SINCE: usize = 1_000;
/// Days that the list of recent uses covers by default.
const USUAL_DAYS: i64 = 7;

struct Line {
    name: String,
    key: String,
    note: String,
    says: String,
    dot: Dot,
    last: Option<RelTime>,
    /// The scope that this secret overrides; empty if it overrides none.
    over: String,
    /// The scope that overrides this secret, so that the agent does not have it; empty if none does.
    under: String,
    href: String,
    /// Form to add an override for this agent; empty if the agent has one.
    over_href: String,
    /// Form to remove the secret, if it is for this agent alone; empty otherwise.
    remove_href: String,
}

struct UsedLine {
    name: String,
    key: String,
    /// Where it was used, and how often.
    how: String,
    last: RelTime,
    href: String,
    /// Form to replace the value; empty if the secret is removed.
    replace: String,
}

/// Secrets that the agent has used since a date.
struct Used {
    /// The date as typed.
    since: String,
    /// Why the typed date is invalid; empty if it is valid.
    wrong: String,
    lines: Vec<UsedLine>,
    /// Whether there are more uses than were searched.
    more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentSecretsParams {
    since: String,
}

#[derive(Template)]
#[template(path = "agents/head.html")]
struct HeadPart<'a> {
    head: &'a Head,
}

impl HtmlSafe for HeadPart<'_> {}

#[derive(Template)]
#[template(path = "vault/agent.html")]
struct AgentPage {
    shell: Shell,
    head: Head,
    live: Live,
    own: Vec<Line>,
    /// Name of the agent's gateway, if there are several gateways.
    gateway: Option<String>,
    of_gateway: Vec<Line>,
    shared: Vec<Line>,
    may_change: bool,
    new_href: String,
    here: String,
    /// `None` for viewers who may not see uses.
    used: Option<Used>,
}

web::region!(AgentPage, as_rows, AgentRows, "vault/agent-rows.html");

impl AgentPage {
    fn drawn(&self) -> HeadPart<'_> {
        HeadPart { head: &self.head }
    }
}

/// `GET /agents/{slug}/secrets`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(slug): Path<String>,
    Query(params): Query<AgentSecretsParams>,
) -> Result<Response, PageError> {
    let page = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            page(&scene, snap, shell, (slug.as_str(), params.since.as_str()))
        })
    });
    let page = page.await.map_err(PageError::from)?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

/// The secrets that an agent has used since a date, each once, the latest first. An invalid date means the default.
fn used(
    scene: &ViewContext,
    read: &dyn Read,
    agent: AgentId,
    since: &str,
) -> Result<Used, VaultError> {
    let zone = &scene.today.zone;
    let today = due::day(scene.today.now, zone);
    let usual = today.checked_sub(USUAL_DAYS.days()).unwrap_or(today);
    let (day, wrong) = match day::in_field("since", since, today, Toward::Back) {
        Ok(day) => (day.unwrap_or(usual), String::new()),
        Err(wrong) => (usual, wrong.message),
    };
    let begins = day.to_zoned(zone.clone()).map_or(Timestamp::MIN, |at| at.timestamp());
    let all = queries::used_by(read, agent, begins, SINCE)?;
    let more = SINCE <= all.len();
    let mut by_secret: Vec<(Use, u32, Vec<String>)> = Vec::new();
    for one in all {
        let place = match one.host.as_str() {
            "" => "programs".to_owned(),
            host => host.to_owned(),
        };
        match by_secret.iter_mut().find(|(first, ..)| first.secret == one.secret) {
            Some((_, count, places)) => {
                *count = count.saturating_add(one.count);
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            None => by_secret.push((one.clone(), one.count, vec![place])),
        }
    }
    let base = scene.ws.url(HERE);
    let mut lines = Vec::with_capacity(by_secret.len());
    for (last, count, places) in by_secret {
        let secret: Option<Secret> = read.get(last.secret)?;
        let is_there = secret.as_ref().is_some_and(|secret| secret.removed_at.is_none());
        let replace = format!("{base}?replace={}#replace", last.secret);
        lines.push(UsedLine {
            how: format!("{}, {}", places.join(", "), count_of(count)),
            last: scene.time(last.last_at),
            href: format!("{base}/{}", last.secret),
            replace: if is_there { replace } else { String::new() },
            name: secret.map_or_else(|| last.key.clone(), |secret| secret.name),
            key: last.key,
        });
    }
    Ok(Used { since: day.to_string(), wrong, lines, more })
}

fn count_of(times: u32) -> String {
    format::count(u64::from(times), "time", "times")
}

/// Names a secret by its scope, for an agent on the gateway with this name.
fn called(secret: &Secret, gateway: &str) -> String {
    match secret.scope {
        Scope::Workspace => "the shared secret".to_owned(),
        Scope::Gateway(_) => format!("{gateway}’s secret"),
        Scope::Agents(_) => "its own".to_owned(),
    }
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (slug, since): (&str, &str),
) -> Result<AgentPage, VaultError> {
    let agent = queries::agent_called(read, slug)?;
    let may_change = scene.access.may(Can::Admin) && agent.archived_at.is_none();
    let now = scene.today.now;
    let head = head::head(&scene.ws, &read, &agent, Place::Secrets, scene.access, now)?;
    let uses = queries::used_by(read, agent.id, Timestamp::MIN, USES)?;
    let base = scene.ws.url(HERE);
    let new_href = format!("{base}/new?agent={}", agent.slug);
    let machines = Machines::read(read)?;
    let at = places::gateway_of(read, agent.id)?;
    let label = machines.label(at).to_owned();
    let line = |secret: Secret, over: &[Secret], under: &str| -> Result<Line, VaultError> {
        let value = queries::value(read, secret.id)?;
        let opens = given::opens(&scene.ws.app, secret.id, value.as_ref());
        let on = machines.of(&scene.ws, read, &secret, opens)?;
        let here = on.iter().find(|one| one.gateway == at).map(|one| one.state);
        let last = uses.iter().find(|one| one.secret == secret.id);
        let href = format!("{base}/{}", secret.id);
        let is_own = matches!(secret.scope, Scope::Agents(_));
        let over_href = match is_own || !under.is_empty() {
            true => String::new(),
            false => format!("{new_href}&key={}&name={}", secret.key, secret.key),
        };
        let is_alone = secret.scope.agents().len() == 1;
        let over: Vec<String> = over.iter().map(|one| called(one, &label)).collect();
        Ok(Line {
            says: queries::reaches(&secret, opens),
            dot: list::dot(here.unwrap_or_else(|| sync::overall(&on, opens))),
            last: last.map(|one| scene.time(one.last_at)),
            over: kernel::text::listed(&over),
            under: under.to_owned(),
            remove_href: if is_alone { format!("{href}/remove") } else { String::new() },
            over_href,
            href,
            name: secret.name,
            key: secret.key,
            note: secret.note,
        })
    };
    let (mut own, mut of_gateway, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for Held { secret, over } in queries::held(read, agent.id)? {
        let nearer = called(&secret, &label);
        let own_line = line(secret.clone(), &over, "")?;
        let under = over.into_iter().map(|one| (one.scope.rank(), line(one, &[], &nearer)));
        let all = std::iter::once((secret.scope.rank(), Ok(own_line))).chain(under);
        for (rank, line) in all {
            match rank {
                0 => shared.push(line?),
                1 => of_gateway.push(line?),
                _ => own.push(line?),
            }
        }
    }
    let used = match scene.access.may(Can::Admin) {
        true => Some(used(scene, read, agent.id, since)?),
        false => None,
    };
    let here = format!("{}/secrets", head.base);
    let since = used.as_ref().map_or("", |used| used.since.as_str());
    let live = Live::new(format!("{here}?since={since}")).tables(&TABLES).debounced();
    Ok(AgentPage {
        shell,
        live,
        own,
        gateway: machines.are_several().then_some(label),
        of_gateway,
        shared,
        may_change,
        new_href: new_href.clone(),
        here,
        used,
        head,
    })
}
