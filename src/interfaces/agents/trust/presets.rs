//! Permission presets: three levels of what an agent may do on a person's behalf. Applying a preset adds its missing
//! permissions and changes nothing else.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::trust::model::What;
use features::trust::queries;
use features::trust::queries::widening::{self, Refused};
use features::trust::rules::{self, NewPermission, TrustError};
use kernel::{AccessDecision, AgentId, Can};
use store::WriteTx;
use web::error::{ApiError, PageError};
use web::extract::{Form, Json, Path};
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;
use web::{flash, format};

use super::{permits, policy};

pub(super) fn pages(routes: Routes) -> Routes {
    routes.post("/permissions/presets/{name}", send.needs(Can::Admin))
}

pub(super) fn api(routes: Routes) -> Routes {
    routes
        .get(
            "/permissions/presets",
            api_list
                .needs(Can::Read)
                .doc(|| Doc::new("Permission presets").returns::<PresetList>()),
        )
        .post(
            "/permissions/presets/{name}",
            api_apply.needs(Can::Admin).doc(|| {
                Doc::new("Add the missing permissions of a preset")
                    .body::<PresetBody>()
                    .returns::<AppliedPreset>()
            }),
        )
}

/// A set of permissions.
pub(super) struct Preset {
    pub name: &'static str,
    pub label: &'static str,
    pub about: &'static str,
    rules: &'static [(&'static str, AccessDecision)],
}

/// From the most restrictive to the most permissive.
pub(super) static PRESETS: [Preset; 3] = [
    Preset {
        name: "reads_and_drafts",
        label: "Reads and drafts",
        about: "Asks before requests, websites and programs. Can’t change routines.",
        rules: &[
            ("http_request", AccessDecision::Ask),
            ("browser", AccessDecision::Ask),
            ("exec", AccessDecision::Ask),
            ("routine_save", AccessDecision::Deny),
            ("routine_delete", AccessDecision::Deny),
        ],
    },
    Preset {
        name: "sends_when_asked",
        label: "Sends when asked to",
        about: "Asks before requests and before changes to routines.",
        rules: &[
            ("http_request", AccessDecision::Ask),
            ("routine_save", AccessDecision::Ask),
            ("routine_delete", AccessDecision::Ask),
        ],
    },
    Preset {
        name: "goes_ahead",
        label: "Goes ahead",
        about: "For Full mode: asks before saving a routine and can’t delete any.",
        rules: &[("routine_delete", AccessDecision::Deny), ("routine_save", AccessDecision::Ask)],
    },
];

fn named(name: &str) -> Result<&'static Preset, TrustError> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let known: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        TrustError::Refused(format!("there is no preset {name}; available: {}", known.join(", ")))
    })
}

/// Adds the missing permissions; returns their number.
fn apply(
    tx: &mut WriteTx<'_>,
    agent: Option<AgentId>,
    preset: &Preset,
) -> Result<usize, TrustError> {
    let (now, mut added) = (tx.now(), 0);
    for (tool, decision) in preset.rules {
        let is_there = queries::rules_of(tx, tool, now)?.into_iter().any(|rule| {
            rule.run.is_none()
                && rule.expires_at.is_none()
                && (rule.agent, rule.leave) == (agent, *decision)
                && (rule.tool.as_str(), &rule.what) == (tool, &What::All)
        });
        if !is_there {
            let new = NewPermission {
                agent,
                run: None,
                tool: (*tool).to_owned(),
                what: What::All,
                leave: *decision,
                note: preset.label.to_owned(),
                expires_at: None,
            };
            rules::permit(tx, new)?;
            added += 1;
        }
    }
    Ok(added)
}

async fn applied(
    ws: &Ws,
    who: &Person,
    once: Once,
    (agent, preset): (Option<AgentId>, &'static Preset),
) -> Result<usize, Refused<TrustError>> {
    let body = once.run(move |tx| apply(tx, agent, preset));
    ws.write(who, widening::checked(who, body)).await
}

/// The agent that the form applies to; empty for the workspace.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PresetForm {
    agent: String,
}

/// `POST /permissions/presets/{name}`
async fn send(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<PresetForm>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| permits::agent_named(snap, Some(&form.agent)))?;
    let what = (agent.as_ref().map(|agent| agent.id), named(&name)?);
    let text = match applied(&ws, &who, Once::without_key(), what).await? {
        0 => "All of these permissions already exist.".to_owned(),
        n => format!("{} added.", format::count(n as u64, "permission", "permissions")),
    };
    let url = policy::place(&ws, agent.as_ref().map(|agent| agent.slug.as_str()));
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&url)))
}

/// Permissions that belong together.
#[derive(Serialize, JsonSchema)]
struct PresetList {
    items: Vec<PresetView>,
}

#[derive(Serialize, JsonSchema)]
struct PresetView {
    name: &'static str,
    label: &'static str,
    /// What it is for.
    about: &'static str,
    permissions: Vec<PresetRule>,
}

#[derive(Serialize, JsonSchema)]
struct PresetRule {
    tool: &'static str,
    leave: AccessDecision,
}

async fn api_list(_: Ws, _: Person) -> Json<PresetList> {
    let view = |preset: &'static Preset| PresetView {
        name: preset.name,
        label: preset.label,
        about: preset.about,
        permissions: preset
            .rules
            .iter()
            .map(|&(tool, decision)| PresetRule { tool, leave: decision })
            .collect(),
    };
    Json(PresetList { items: PRESETS.iter().map(view).collect() })
}

/// Whose permissions a preset adds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PresetBody {
    /// Slug or id of the agent; without it, all agents of the workspace.
    agent: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct AppliedPreset {
    /// How many permissions were not there yet.
    added: usize,
}

async fn api_apply(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<PresetBody>,
) -> Result<Json<AppliedPreset>, ApiError> {
    let agent = ws.read(|snap| permits::agent_named(snap, body.agent.as_deref()))?;
    let what = (agent.map(|agent| agent.id), named(&name)?);
    Ok(Json(AppliedPreset { added: applied(&ws, &who, once, what).await? }))
}
