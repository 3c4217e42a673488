//! The profile of an agent, edited in place.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::rules::{self, Changes, profile};
use features::agents::{provision, queries};
use git::Author;
use store::ReadExt as _;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::{find, overview};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProfileForm {
    pub description: String,
    pub role: String,
    pub domains: String,
    pub capabilities: String,
    /// The initial field values, as [`Said`].
    pub began: String,
}

/// The field values, compared one by one so that concurrent edits of different fields merge.
#[derive(Clone, Debug, Deserialize)]
struct Said {
    description: String,
    role: String,
    domains: Vec<String>,
    capabilities: Vec<String>,
}

impl Said {
    fn of(agent: &Agent) -> Self {
        Self {
            description: agent.description.clone(),
            role: agent.role.clone(),
            domains: agent.domains.clone(),
            capabilities: agent.capabilities.clone(),
        }
    }

    fn from_form(form: &ProfileForm) -> Self {
        Self {
            description: form.description.replace("\r\n", "\n").trim().to_owned(),
            role: form.role.trim().to_owned(),
            domains: profile::listed(&form.domains),
            capabilities: profile::listed(&form.capabilities),
        }
    }

    /// Fills the form with these values; `began` are the initial values.
    fn shown(&self, began: &Self) -> ProfileForm {
        let Self { description, role, domains, capabilities } = began;
        let began = json!({
            "description": description,
            "role": role,
            "domains": domains,
            "capabilities": capabilities,
        });
        ProfileForm {
            description: self.description.clone(),
            role: self.role.clone(),
            domains: self.domains.join(", "),
            capabilities: self.capabilities.join("\n"),
            began: began.to_string(),
        }
    }
}

/// The edit form, collapsed below the profile.
pub(super) struct Profile {
    pub v: ProfileForm,
    pub wrong: Wrong,
}

impl Profile {
    pub fn of(agent: &Agent) -> Self {
        let values = Said::of(agent);
        Self { v: values.shown(&values), wrong: Wrong::none() }
    }

    /// Whether the form has an error and is shown expanded.
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
    Form(v): Form<ProfileForm>,
) -> Result<Response, PageError> {
    let (before, rev) = ws.read(|snap| {
        let agent = find(snap, &slug)?;
        let found = snap.get_rev::<Agent>(agent.id)?;
        found.ok_or_else(|| PageError::not_found("This agent"))
    })?;
    let (now, submitted) = (Said::of(&before), Said::from_form(&v));
    let mut wrong = Wrong::none();
    wrong.note(rules::good_description(&submitted.description));
    wrong.note(profile::good_role(&submitted.role));
    wrong.note(profile::good_domains(&submitted.domains));
    wrong.note(profile::good_capabilities(&submitted.capabilities));
    if wrong.has_fields() {
        let refused = (StatusCode::UNPROCESSABLE_ENTITY, Profile { v, wrong });
        return overview::page(&ws, &who, shell, &before, refused);
    }
    // An API client may omit it; then every difference counts as typed.
    let began: Said = serde_json::from_str(&v.began).unwrap_or_else(|_| now.clone());
    let wanted = wanted(&began, &now, &submitted, &mut wrong);
    if wrong.has_fields() {
        // The form now starts from the others' changes, so saving again replaces them.
        let refused = (StatusCode::CONFLICT, Profile { v: wanted.shown(&now), wrong });
        return overview::page(&ws, &who, shell, &before, refused);
    }
    let v = wanted.shown(&began);
    let changes = Changes {
        description: Some(wanted.description),
        role: Some(wanted.role),
        domains: Some(wanted.domains),
        capabilities: Some(wanted.capabilities),
        ..Changes::default()
    };
    let id = before.id;
    let agent = match ws.write(&who, move |tx| rules::update(tx, id, Some(rev), changes)).await {
        Ok(agent) => agent,
        Err(error) => {
            let refused = (StatusCode::CONFLICT, Profile { v, wrong: Wrong::of(&error)? });
            return overview::page(&ws, &who, shell, &before, refused);
        }
    };
    let author = Author::person(&who.name, who.account);
    provision::tell_change(&ws, author, &before, &agent).await;
    let flash = Flash::ok(format!("{} is saved.", ws.read(|snap| queries::called(snap, &agent))?));
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("agents/{}", agent.slug)))))
}

/// Merges the fields; reports fields that another person changed too.
fn wanted(began: &Said, now: &Said, submitted: &Said, moved: &mut Wrong) -> Said {
    let description = [&began.description, &now.description, &submitted.description];
    let role = [&began.role, &now.role, &submitted.role];
    let domains = [&began.domains, &now.domains, &submitted.domains];
    let capabilities = [&began.capabilities, &now.capabilities, &submitted.capabilities];
    Said {
        description: wanted_of("description", description, &now.description, moved),
        role: wanted_of("role", role, &now.role, moved),
        domains: wanted_of("domains", domains, &now.domains.join(", "), moved),
        capabilities: wanted_of("capabilities", capabilities, &now.capabilities.join(", "), moved),
    }
}

/// Merges one field: the current value, unless the editor typed another one.
fn wanted_of<T: Clone + PartialEq>(
    name: &'static str,
    [began, now, submitted]: [&T; 3],
    current: &str,
    moved: &mut Wrong,
) -> T {
    if submitted == began || submitted == now {
        return now.clone();
    }
    if now != began {
        let current =
            if current.is_empty() { "nothing".to_owned() } else { format!("“{current}”") };
        let message =
            format!("This changed to {current} while you were editing. Save again to replace it");
        moved.join::<()>(Err(Wrong::field(name, message)));
    }
    submitted.clone()
}
