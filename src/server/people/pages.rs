//! Settings → Members: members of the workspace with their roles, and invitations.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::local::Reached;
use app::{App, Ws};
use crypto::token::Token;
use features::notifications::sending::letters;
use features::users;
use features::users::model::Account;
use features::workspace::model::{Invite, Member};
use features::workspace::queries;
use features::workspace::rules::WorkspaceError;
use features::workspace::rules::invites;
use kernel::{AccountId, Can, InviteId, Problem, ProblemKind, Role, Timestamp};
use store::{ReadExt, Snap, StoreError};
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::{Wrong, sentence};
use web::html;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::live::Live;
use web::parts::{Choice, Face};
use web::routes::{Needs, Routes};
use web::session::{Person, Proof};
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::{Mailed, accounts, leaving, mail_invite};

const HINT_WITH_MAIL: &str = "HQ emails the link to this address. Leave empty for a link that \
                              works for whoever opens it first.";
const HINT_WITHOUT_MAIL: &str = "Leave empty for a link that works for whoever opens it first. \
    No mail server is set up, so you get a link to share.";

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/members", list.needs(Can::Read))
        .get("/settings/members/list", list_part.needs(Can::Read))
        .post("/settings/members/{id}/role", change_role.needs(Can::Admin))
        .post("/settings/members/{id}/disable", disable.needs(Can::Own).proved())
        .post("/settings/members/{id}/enable", enable.needs(Can::Own).proved())
        .post("/settings/members/{id}/reset-factors", reset_factors.needs(Can::Own).proved())
        .post("/settings/accounts/{id}/remove", remove_account.needs(Can::Own).proved())
        .post("/settings/invites", invite.needs(Can::Admin))
        .post("/settings/invites/{id}/withdraw", withdraw.needs(Can::Admin))
        .merge(leaving::routes())
}

struct MemberRow {
    face: Face,
    handle: String,
    email: String,
    role: Role,
    since: RelTime,
    seen: Option<RelTime>,
    own: bool,
    /// Whether the member has a second factor; known only to those who may change members.
    factor: bool,
    /// Whether this person may remove the second factor.
    may_reset: bool,
    /// When the account was disabled.
    disabled: Option<RelTime>,
    /// Whether this person may disable and enable the account.
    may_close: bool,
    /// Roles that this person may assign; empty if the member cannot be changed.
    roles: Vec<Role>,
    href: String,
    history: String,
}

struct InviteRow {
    role: &'static str,
    email: String,
    by: String,
    since: RelTime,
    until: RelTime,
    withdraw: String,
}

/// An account that belongs to no workspace.
struct AccountRow {
    face: Face,
    email: String,
    since: RelTime,
    remove: String,
}

/// The tables, as a separate region.
struct Tables {
    live: Live,
    rows: Vec<MemberRow>,
    invites: Vec<InviteRow>,
    /// Empty for people who may not manage these accounts.
    accounts: Vec<AccountRow>,
    may: bool,
}

#[derive(Template)]
#[template(path = "workspace/members.html")]
struct Members {
    shell: Shell,
    t: Tables,
    may_invite: bool,
    /// Explains what happens with the email address.
    invite_hint: &'static str,
    fresh: Option<Fresh>,
    roles: Vec<Choice>,
    email: String,
    wrong: Wrong,
    only_owner: bool,
    /// Whether the person is an owner and the workspace is active.
    may_rule: bool,
    factor_for_admins: bool,
}

#[derive(Template)]
#[template(path = "workspace/_members.html")]
struct TablesPart {
    t: Tables,
}

/// A new invitation. The link is shown once and missing after a repeated submit.
struct Fresh {
    link: Option<String>,
    role: String,
    email: String,
    mailed: bool,
    /// Why the email was not sent, or empty.
    mail_error: String,
}

/// Whether a member with one role may change a member with another, or assign this role.
fn may_handle(own: Role, other: Role) -> bool {
    own == Role::Owner || (own == Role::Admin && other != Role::Owner)
}

impl Tables {
    fn read(ws: &Ws, who: &Person) -> Result<Self, PageError> {
        let now = ws.app.clock.now();
        let may = who.access.may(Can::Admin) && ws.is_active();
        let (found, open) = ws.read(|snap| {
            let open = if may { queries::open_invites(snap, now)? } else { Vec::new() };
            Ok::<_, StoreError>((queries::members(snap)?, open))
        })?;
        let when = When { now, zone: TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC) };
        let name = |account: AccountId| {
            let known = found.iter().find(|one| one.account == account);
            known.map_or_else(|| "a former member".to_owned(), |one| one.name.clone())
        };
        let invites = open.into_iter().map(|one| invite_row(ws, one, &name, &when)).collect();
        let known = Known::of_all(&ws.app, &found, may)?;
        let both = found.into_iter().zip(known);
        let rows = both.map(|(member, known)| member_row(ws, who, member, known, may, &when));
        let mut rows: Vec<_> = rows.collect();
        let accounts = account_rows(ws, who, &when)?;
        rows.sort_by_cached_key(|row| (row.role, row.face.name.to_lowercase()));
        let live = Live::new(ws.url("settings/members/list"));
        let live = ["members", "invites", "accounts"].into_iter().fold(live, Live::table);
        Ok(Self { live, rows, invites, accounts, may })
    }
}

/// Account data of a member.
struct Known {
    /// Last activity of the person's browsers, in any workspace.
    seen: Option<Timestamp>,
    factor: bool,
    disabled: Option<Timestamp>,
}

impl Known {
    /// Reads the data of all members in order, from one snapshot.
    fn of_all(app: &App, members: &[Member], may: bool) -> Result<Vec<Self>, StoreError> {
        app.system.read(|snap| {
            members.iter().map(|member| Self::read(snap, member.account, may)).collect()
        })
    }

    fn read(snap: &Snap<'_>, account: AccountId, may: bool) -> Result<Self, StoreError> {
        let mut seen = None;
        for sign_in in users::queries::sign_ins(snap, account)? {
            seen = seen.max(Some(users::queries::seen(snap, &sign_in)?));
        }
        let disabled = snap.get::<Account>(account)?.and_then(|known| known.disabled_at);
        let factor = may && users::queries::has_factor(snap, account)?;
        Ok(Self { seen, factor, disabled })
    }
}

fn member_row(
    ws: &Ws,
    who: &Person,
    member: Member,
    known: Known,
    may: bool,
    when: &When,
) -> MemberRow {
    let touch = may && may_handle(who.role, member.role);
    let roles = Role::ALL.iter().copied().filter(|role| touch && may_handle(who.role, *role));
    let other = who.role == Role::Owner && member.account != who.account;
    MemberRow {
        face: Face::person(&member.name),
        roles: roles.collect(),
        handle: member.handle,
        email: member.email,
        role: member.role,
        since: when.at(member.created_at),
        seen: known.seen.map(|at| when.at(at)),
        factor: known.factor,
        may_reset: known.factor && other,
        disabled: known.disabled.map(|at| when.at(at)),
        may_close: other,
        own: member.account == who.account,
        href: ws.url(&format!("settings/members/{}", member.account)),
        history: ws.url(&format!("history/members/{}", member.account)),
    }
}

fn invite_row(
    ws: &Ws,
    invite: Invite,
    name: &impl Fn(AccountId) -> String,
    when: &When,
) -> InviteRow {
    InviteRow {
        role: invite.role.label(),
        email: invite.email.unwrap_or_default(),
        by: name(invite.by),
        since: when.at(invite.created_at),
        until: when.at(invite.expires_at),
        withdraw: ws.url(&format!("settings/invites/{}/withdraw", invite.id)),
    }
}

/// Accounts that belong to no workspace, for people who may manage them.
fn account_rows(ws: &Ws, who: &Person, when: &When) -> Result<Vec<AccountRow>, PageError> {
    if !who.access.may(Can::Own) || !accounts::decides(&ws.app, who)? {
        return Ok(Vec::new());
    }
    let row = |account: Account| AccountRow {
        face: Face::person(&account.name),
        email: account.email,
        since: when.at(account.created_at),
        remove: ws.url(&format!("settings/accounts/{}/remove", account.id)),
    };
    Ok(accounts::without_workspace(&ws.app)?.into_iter().map(row).collect())
}

/// Formats times for this person.
struct When {
    now: Timestamp,
    zone: TimeZone,
}

impl When {
    fn at(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }
}

impl Members {
    async fn of(ws: &Ws, who: &Person, shell: Shell) -> Result<Self, PageError> {
        let asking = who.clone();
        let look = move |ws: &Ws| {
            let policy = ws.read(|snap| queries::people(snap))?;
            Ok::<_, PageError>((Tables::read(ws, &asking)?, policy, letters::is_set_up(ws)?))
        };
        let (t, policy, sends_mail) = ws.read_blocking(look).await?;
        let owners = t.rows.iter().filter(|row| row.role == Role::Owner && row.disabled.is_none());
        Ok(Self {
            shell,
            may_rule: who.access.may(Can::Own) && ws.is_active(),
            factor_for_admins: policy.factor_for_admins,
            may_invite: t.may,
            invite_hint: match sends_mail {
                true => HINT_WITH_MAIL,
                false => HINT_WITHOUT_MAIL,
            },
            only_owner: who.role == Role::Owner && owners.count() == 1,
            t,
            fresh: None,
            roles: roles(who.role, Role::Member),
            email: String::new(),
            wrong: Wrong::none(),
        })
    }
}

fn roles(own: Role, chosen: Role) -> Vec<Choice> {
    let hint = |role: Role| match role {
        Role::Owner => "Can do everything, including archive and delete the workspace",
        Role::Admin => "Also manages connections, members, budgets and settings",
        Role::Member => "Works with tasks and agents",
        Role::Viewer => "Can view, but not change anything",
    };
    let all = [Role::Member, Role::Viewer, Role::Admin, Role::Owner];
    all.into_iter()
        .filter(|role| may_handle(own, *role))
        .map(|role| Choice::new(role.word(), role.label(), role == chosen).hint(hint(role)))
        .collect()
}

async fn list(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&Members::of(&ws, &who, shell).await?)
}

async fn list_part(ws: Ws, who: Person) -> Result<Response, PageError> {
    let t = ws.read_blocking(move |ws| Tables::read(ws, &who)).await?;
    html::fragment(&TablesPart { t })
}

#[derive(Deserialize)]
struct RoleForm {
    #[serde(default)]
    role: String,
}

/// Shows a rule's error as a message on the previous page.
fn redisplay(app: &App, back: Response, error: WorkspaceError) -> Result<Response, PageError> {
    match error.kind() {
        ProblemKind::Conflict | ProblemKind::Invalid => {
            Ok(flash::say(app, Flash::danger(sentence(&error.to_string())), back))
        }
        _ => Err(error.into()),
    }
}

async fn change_role(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    proof: Proof,
    Path(account): Path<AccountId>,
    Form(form): Form<RoleForm>,
) -> Result<Response, PageError> {
    let back = hx.go_to(&ws.url("settings/members"));
    let role: Role = match form.role.parse() {
        Ok(role) => role,
        Err(error) => {
            return redisplay(&app, back, WorkspaceError::field("role", error.to_string()));
        }
    };
    super::proved_for(role, proof)?;
    match super::change_role(&app, &ws, &who, (account, role), Once::without_key()).await {
        Ok(now) => {
            let text =
                format!("{} is now {}.", now.name, kernel::text::with_article(now.role.word()));
            Ok(flash::say(&app, Flash::ok(text), back))
        }
        Err(error) => redisplay(&app, back, error),
    }
}

async fn disable(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(account): Path<AccountId>,
) -> Result<Response, PageError> {
    set_account(&app, &ws, &who, &hx, (account, false)).await
}

async fn enable(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(account): Path<AccountId>,
) -> Result<Response, PageError> {
    set_account(&app, &ws, &who, &hx, (account, true)).await
}

async fn set_account(
    app: &App,
    ws: &Ws,
    who: &Person,
    hx: &Hx,
    (account, open): (AccountId, bool),
) -> Result<Response, PageError> {
    let back = hx.go_to(&ws.url("settings/members"));
    match accounts::set(app, ws, who, account, open).await {
        Ok((member, _)) => {
            let text = match open {
                true => format!("{} can sign in again.", member.name),
                false => format!("{} is signed out everywhere and can’t sign in.", member.name),
            };
            Ok(flash::say(app, Flash::ok(text), back))
        }
        Err(error) if matches!(error.0.kind, ProblemKind::Conflict | ProblemKind::Forbidden) => {
            Ok(flash::say(app, Flash::danger(sentence(&error.0.detail)), back))
        }
        Err(error) => Err(error),
    }
}

async fn reset_factors(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(account): Path<AccountId>,
) -> Result<Response, PageError> {
    let member = super::reset_factors(&app, &ws, &who, account).await?;
    let text =
        format!("{} now signs in with only a password and was signed out everywhere.", member.name);
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url("settings/members"))))
}

async fn remove_account(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(account): Path<AccountId>,
) -> Result<Response, PageError> {
    let back = hx.go_to(&ws.url("settings/members"));
    match accounts::remove_as(&app, &who, account).await {
        Ok(gone) => {
            let text =
                format!("Account {} removed. Its email address can be used again.", gone.email);
            Ok(flash::say(&app, Flash::ok(text), back))
        }
        Err(error) if error.0.kind == ProblemKind::Conflict => {
            Ok(flash::say(&app, Flash::danger(sentence(&error.0.detail)), back))
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct InviteForm {
    #[serde(default)]
    role: String,
    #[serde(default)]
    email: String,
}

/// The link of an invitation, with the server URL that the caller uses.
pub(super) fn link(Reached(here): &Reached, ws: &Ws, token: &Token) -> String {
    format!("{here}/join?in={}&token={}", ws.slug, token.reveal())
}

/// Parses the email address of an invitation; `None` if empty.
pub(super) fn bound_email(text: &str) -> Result<Option<String>, users::rules::UsersError> {
    match text.trim() {
        "" => Ok(None),
        text => users::queries::checked_email(text).map(Some),
    }
}

async fn invite(
    ws: Ws,
    who: Person,
    proof: Proof,
    reached: Reached,
    shell: Shell,
    FormOnce(form, once): FormOnce<InviteForm>,
) -> Result<Response, PageError> {
    let mut wrong = Wrong::none();
    let role: Role = form.role.parse().unwrap_or(Role::Viewer);
    super::proved_for(role, proof)?;
    if let Some(email) = wrong.note(bound_email(&form.email)) {
        match super::invite(&ws, &who, role, email, once).await {
            Ok((token, made)) => {
                let mut page = Members::of(&ws, &who, shell).await?;
                // After a repeated submit, only the recipient of the first response knows the link.
                let link = (made.public == token.id()).then(|| link(&reached, &ws, &token));
                let mailed = match &link {
                    Some(link) => mail_invite(&ws, &who, &made, link).await?,
                    None => Mailed::Not,
                };
                let email = made.email.unwrap_or_default();
                let (mailed, mail_error) = match mailed {
                    Mailed::Not => (false, String::new()),
                    Mailed::Sent => (true, String::new()),
                    Mailed::Failed(why) => (false, why),
                };
                let role = kernel::text::with_article(role.word());
                page.fresh = Some(Fresh { link, role, email, mailed, mail_error });
                return html::page(&page);
            }
            Err(error) => wrong = Wrong::of(&error)?,
        }
    }
    let mut page = Members::of(&ws, &who, shell).await?;
    (page.roles, page.email, page.wrong) = (roles(who.role, role), form.email, wrong);
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

async fn withdraw(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<InviteId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| invites::withdraw(tx, id)).await?;
    let done = Flash::ok("Invitation withdrawn.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/members"))))
}
