//! `/api/v1/settings`, `/api/v1/members` and `/api/v1/sign-in-policy`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::trust::queries::widening;
use features::users::queries as accounts;
use kernel::{AccountId, Can, ConnectionId, Role, Timestamp, WorkspaceId};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::workspace::model::{People, Settings};
use features::workspace::queries;
use features::workspace::rules::{self, SettingsPatch, WorkspaceError};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/settings",
            show.needs(Can::Read).doc(|| Doc::new("Workspace settings").returns::<SettingsView>()),
        )
        .patch(
            "/settings",
            change.needs(Can::Admin).doc(|| {
                Doc::new("Change workspace settings")
                    .if_match()
                    .body::<SettingsBody>()
                    .returns::<SettingsView>()
            }),
        )
        .get(
            "/members",
            members.needs(Can::Read).doc(|| Doc::new("Workspace members").returns::<Members>()),
        )
        .get(
            "/sign-in-policy",
            policy
                .needs(Can::Admin)
                .doc(|| Doc::new("Sign-in rules for members").returns::<PolicyBody>()),
        )
        .put(
            "/sign-in-policy",
            set_policy.needs(Can::Own).proved().doc(|| {
                Doc::new("Change the sign-in rules for members")
                    .no_key("a repeat sets the same")
                    .body::<PolicyBody>()
                    .returns::<PolicyBody>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct SettingsView {
    id: WorkspaceId,
    name: String,
    emoji: String,
    /// Letters in front of task numbers.
    task_key: String,
    zone: String,
    default_connection: Option<ConnectionId>,
    default_model: Option<String>,
    /// Monthly budget of all agents in micro-dollars.
    budget_micros: Option<i64>,
    /// What one run may cost in micro-dollars.
    run_cap_micros: i64,
    comments_reach_assignee: bool,
    exec_without_jail: bool,
    /// Parts of HQ that are off: `customers`, `collections`, `knowledge`.
    modules_off: Vec<String>,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        Self {
            id: settings.id,
            name: settings.name,
            emoji: settings.emoji,
            task_key: settings.task_key,
            zone: settings.zone,
            default_connection: settings.default_connection,
            default_model: settings.default_model,
            budget_micros: settings.budget_micros,
            run_cap_micros: settings.run_cap_micros,
            comments_reach_assignee: settings.comments_reach_assignee,
            exec_without_jail: settings.exec_without_jail,
            modules_off: settings.without,
        }
    }
}

fn with_etag(ws: &Ws) -> Result<Tagged<SettingsView>, ApiError> {
    let found = ws.read(|snap| queries::settings_rev(snap))?;
    let (settings, rev) = found.ok_or(WorkspaceError::NotFounded)?;
    Ok(Tagged::ok(rev, settings.into()))
}

async fn show(ws: Ws) -> Result<Tagged<SettingsView>, ApiError> {
    with_etag(&ws)
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    name: Option<String>,
    emoji: Option<String>,
    task_key: Option<String>,
    zone: Option<String>,
    /// `null` takes the limit away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<i64>")]
    budget_micros: Option<Option<i64>>,
    run_cap_micros: Option<i64>,
    comments_reach_assignee: Option<bool>,
    exec_without_jail: Option<bool>,
    /// Parts of HQ that are off: `customers`, `collections`, `knowledge`. What they hold stays.
    modules_off: Option<Vec<String>>,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Patch(body): Patch<SettingsBody>,
) -> Result<Tagged<SettingsView>, ApiError> {
    let patch = SettingsPatch {
        name: body.name,
        emoji: body.emoji,
        task_key: body.task_key,
        zone: body.zone,
        budget_micros: body.budget_micros,
        run_cap_micros: body.run_cap_micros,
        comments_reach_assignee: body.comments_reach_assignee,
        exec_without_jail: body.exec_without_jail,
        without: body.modules_off,
    };
    let update = once.run(move |tx| rules::update(tx, patch, rev).map(drop));
    ws.write(&who, widening::checked(&who, update)).await?;
    with_etag(&ws)
}

#[derive(Serialize, JsonSchema)]
struct MemberView {
    account: AccountId,
    name: String,
    /// What `@` and tools call this person.
    handle: String,
    email: String,
    role: Role,
    #[schemars(with = "String")]
    created_at: Timestamp,
    /// Since when the account is disabled.
    #[schemars(with = "Option<String>")]
    disabled_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct Members {
    items: Vec<MemberView>,
    next: Option<String>,
}

async fn members(app: App, ws: Ws) -> Result<Json<Members>, ApiError> {
    let all = ws.read(|snap| queries::members(snap))?;
    let shut = app.system.read(|snap| accounts::disabled(snap))?;
    let view = |member: features::workspace::model::Member| MemberView {
        account: member.account,
        name: member.name,
        handle: member.handle,
        email: member.email,
        role: member.role,
        created_at: member.created_at,
        disabled_at: shut.get(&member.account).copied(),
    };
    Ok(Json(Members { items: all.into_iter().map(view).collect(), next: None }))
}

/// What is asked of people, in both directions.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    /// Whether owners and admins must have a second step before they do anything here.
    factor_for_admins: bool,
}

async fn policy(ws: Ws) -> Result<Json<PolicyBody>, ApiError> {
    let People { factor_for_admins } = ws.read(|snap| queries::people(snap))?;
    Ok(Json(PolicyBody { factor_for_admins }))
}

async fn set_policy(
    ws: Ws,
    who: Person,
    Json(body): Json<PolicyBody>,
) -> Result<Json<PolicyBody>, ApiError> {
    let people = People { factor_for_admins: body.factor_for_admins };
    ws.write(&who, move |tx| rules::invites::require_factor(tx, people)).await?;
    policy(ws).await
}
