//! What an agent is said to be and to do, edited where it stands.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::provision;
use features::agents::rules::{self, Changes, profile};
use git::Author;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::{find, overview};

/// What was typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    pub description: String,
    pub role: String,
    pub domains: String,
    pub capabilities: String,
}

/// The form, which stands closed below what it edits.
pub(super) struct Profile {
    pub v: Typed,
    pub wrong: Wrong,
}

impl Profile {
    pub fn of(agent: &Agent) -> Self {
        let v = Typed {
            description: agent.description.clone(),
            role: agent.role.clone(),
            domains: agent.domains.join(", "),
            capabilities: agent.capabilities.join("\n"),
        };
        Self { v, wrong: Wrong::none() }
    }

    /// Whether something in it is wrong: then it stands open.
    pub fn is_refused(&self) -> bool {
        self.wrong.has_fields() || !self.wrong.whole().is_empty()
    }
}

/// `POST /agents/{slug}/profile`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(v): Form<Typed>,
) -> Result<Response, PageError> {
    let before = ws.read(|snap| find(snap, &slug))?;
    let (domains, capabilities) = (profile::listed(&v.domains), profile::listed(&v.capabilities));
    let mut wrong = Wrong::none();
    wrong.note(rules::good_description(&v.description));
    wrong.note(profile::good_role(&v.role));
    wrong.note(profile::good_domains(&domains));
    wrong.note(profile::good_capabilities(&capabilities));
    if wrong.has_fields() {
        let profile = Profile { v, wrong };
        return overview::page(
            &ws,
            &who,
            shell,
            &before,
            (StatusCode::UNPROCESSABLE_ENTITY, profile),
        );
    }
    let changes = Changes {
        description: Some(v.description),
        role: Some(v.role),
        domains: Some(domains),
        capabilities: Some(capabilities),
        ..Changes::default()
    };
    let id = before.id;
    let agent = ws.write(&who, move |tx| rules::update(tx, id, None, changes)).await?;
    let author = Author::new(&who.name, &who.email);
    provision::tell_change(&ws, author, &before, &agent).await;
    let said = Flash::ok(format!("{} is saved.", agent.name));
    Ok(flash::say(&app, said, hx.go_to(&ws.url(&format!("agents/{}", agent.slug)))))
}
