//! What an agent has: its own, that of all, what stands in the place of what, and how each reaches it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::response::Response;

use app::Ws;
use features::agents::queries::head::{self, Head, Place};
use features::tasks::queries::scene::Scene;
use kernel::Can;
use store::Read;
use web::error::PageError;
use web::extract::Path;
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
use crate::model::Scope;
use crate::queries::{self, Held};

/// So many uses are looked through for the last one of an agent.
const USES: usize = 200;

/// A secret of the agent.
struct Line {
    name: String,
    key: String,
    note: String,
    says: String,
    dot: Dot,
    last: Option<RelTime>,
    /// Whether it stands in the place of that of all agents.
    is_over: bool,
    href: String,
    /// Adds one of its own in this place; empty where it has one.
    over_href: String,
    /// Removes it, where it is for this agent alone; empty elsewhere.
    remove_href: String,
}

/// The head of an agent's pages.
#[derive(Template)]
#[template(path = "agents/head.html")]
struct HeadPart<'a> {
    head: &'a Head,
}

impl HtmlSafe for HeadPart<'_> {}

#[derive(Template)]
#[template(path = "vault/agent.html", blocks = ["rows"])]
struct AgentPage {
    shell: Shell,
    head: Head,
    live: Live,
    own: Vec<Line>,
    shared: Vec<Line>,
    may_change: bool,
    new_href: String,
}

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
) -> Result<Response, PageError> {
    let page = ws.look(move |ws| {
        ws.read(|snap| {
            let scene = Scene::new(ws, &who, snap)?;
            page(&scene, snap, shell, &slug)
        })
    });
    let page = page.await.map_err(PageError::from)?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn page(scene: &Scene, read: &dyn Read, shell: Shell, slug: &str) -> Result<AgentPage, VaultError> {
    let agent = queries::agent_called(read, slug)?;
    let may_change = scene.access.may(Can::Admin) && agent.archived_at.is_none();
    let now = scene.today.now;
    let head = head::head(&scene.ws, &read, &agent, Place::Secrets, scene.access, now)?;
    let uses = queries::used_by(read, agent.id, kernel::Timestamp::MIN, USES)?;
    let base = scene.ws.url(HERE);
    let new_href = format!("{base}/new?agent={}", agent.slug);
    let line = |Held { secret, over }: Held| -> Result<Line, VaultError> {
        let value = queries::value(read, secret.id)?;
        let opens = given::opens(&scene.ws.app, secret.id, value.as_ref());
        let last = uses.iter().find(|one| one.secret == secret.id);
        let href = format!("{base}/{}", secret.id);
        let is_own = secret.scope != Scope::Workspace;
        let over_href = match is_own {
            true => String::new(),
            false => format!("{new_href}&key={}&name={}", secret.key, secret.key),
        };
        let is_alone = secret.scope.agents().len() == 1;
        Ok(Line {
            says: queries::reaches(&secret, opens),
            dot: list::dot(opens),
            last: last.map(|one| scene.time(one.last_at)),
            is_over: over.is_some(),
            remove_href: if is_alone { format!("{href}/remove") } else { String::new() },
            over_href,
            href,
            name: secret.name,
            key: secret.key,
            note: secret.note,
        })
    };
    let (own, shared): (Vec<_>, Vec<_>) = queries::held(read, agent.id)?
        .into_iter()
        .partition(|held| held.secret.scope != Scope::Workspace);
    let live = Live::new(format!("{}/secrets", head.base)).tables(&TABLES).calm();
    Ok(AgentPage {
        shell,
        live,
        own: own.into_iter().map(line).collect::<Result<_, _>>()?,
        shared: shared.into_iter().map(line).collect::<Result<_, _>>()?,
        may_change,
        new_href: new_href.clone(),
        head,
    })
}
