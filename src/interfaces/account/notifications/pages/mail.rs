//! The mail server of a workspace, and the unsubscribe page.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use crate::notifications::api::mail::USUAL_PORT;
use app::{App, Ws};
use features::notifications::model::sending::{MAIL_PASSWORD, MailSecrecy, MailSettings, Out};
use features::notifications::queries::sending as reading;
use features::notifications::rules::NotificationError;
use features::notifications::rules::sending as rules;
use features::notifications::sending::letters;
use features::workspace::queries as workspace;
use kernel::{Actor, Can, Cause, Part};
use store::{StoreError, WriteTx};
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell, Theme};
use web::time::RelTime;

/// Number of failures shown.
const SHOWN: usize = 20;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/mail", show.needs(Can::Admin))
        .post("/settings/mail", save.needs(Can::Admin).proved())
        .post("/settings/mail/test", test.needs(Can::Admin))
        .post("/settings/mail/remove", remove.needs(Can::Admin))
}

/// Routes outside of workspaces, for recipients of an email.
#[must_use]
pub fn open_routes() -> Routes {
    Routes::new()
        .get("/unsubscribe/{token}", ask.needs(Can::Open))
        .post("/unsubscribe/{token}", end.needs(Can::Open))
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Values {
    host: String,
    port: String,
    secrecy: String,
    user: String,
    from: String,
    password: String,
}

impl Values {
    fn of(settings: Option<MailSettings>) -> Self {
        let settings = settings
            .unwrap_or_else(|| MailSettings { port: USUAL_PORT, ..MailSettings::default() });
        Self {
            host: settings.host,
            port: settings.port.to_string(),
            secrecy: settings.secrecy.word().to_owned(),
            user: settings.user,
            from: settings.from,
            password: String::new(),
        }
    }

    fn settings(&self) -> MailSettings {
        let secrecy = MailSecrecy::ALL.into_iter().find(|one| one.word() == self.secrecy);
        MailSettings {
            host: self.host.clone(),
            // Port 0 is rejected later.
            port: self.port.trim().parse().unwrap_or(0),
            secrecy: secrecy.unwrap_or_default(),
            user: self.user.clone(),
            from: self.from.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "notifications/mail.html")]
struct MailPage {
    shell: Shell,
    here: &'static str,
    v: Values,
    wrong: Wrong,
    secrecies: Vec<Choice>,
    secret_hint: &'static str,
    set_up: bool,
    /// Emails that were given up: recipient, reason, since when.
    failed: Vec<(String, String, RelTime)>,
}

fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    (form, wrong): (Option<Values>, Wrong),
) -> Result<MailPage, PageError> {
    let (now, zone) = (ws.app.clock.now(), who.time_zone());
    let (settings, secret, failed) = ws.read(|snap| {
        let secret = reading::secret(snap, MAIL_PASSWORD)?.is_some();
        let mut failed = Vec::new();
        for one in reading::given_up(snap)?.into_iter().filter(|one| one.out != Out::Push) {
            let to = workspace::known_person(snap, one.member)?;
            let to = to.map_or_else(|| "A member".to_owned(), |member| member.name);
            let at = RelTime::new(one.gave_up_at.unwrap_or(now), now, &zone);
            failed.push((to, one.last_error.unwrap_or_default(), at));
        }
        failed.truncate(SHOWN);
        Ok::<_, StoreError>((reading::mail(snap)?, secret, failed))
    })?;
    let set_up = settings.is_some();
    let v = form.unwrap_or_else(|| Values::of(settings));
    let label = |one: MailSecrecy| match one {
        MailSecrecy::Tls => "TLS",
        MailSecrecy::StartTls => "STARTTLS",
        MailSecrecy::Open => "None (only for a server on this machine)",
    };
    let choice = |one: MailSecrecy| Choice::new(one.word(), label(one), one.word() == v.secrecy);
    Ok(MailPage {
        shell,
        here: "mail",
        secrecies: MailSecrecy::ALL.into_iter().map(choice).collect(),
        v,
        wrong,
        secret_hint: match secret {
            true => "Stored encrypted. Leave empty to keep it.",
            false => "Stored encrypted and never shown again.",
        },
        set_up,
        failed,
    })
}

async fn show(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&page(&ws, &who, shell, (None, Wrong::none()))?)
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<Values>,
) -> Result<Response, PageError> {
    let password = Some(&form.password).filter(|text| !text.is_empty());
    let (new, sealed) = (form.settings(), password.map(|text| letters::seal(&ws, text)));
    match ws.write(&who, move |tx| rules::set_mail(tx, new, sealed)).await {
        Ok(_) => {
            let back = hx.go_to(&ws.url("settings/mail"));
            Ok(flash::say(&app, Flash::ok("Saved. Send a test to check that it works."), back))
        }
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            let page = page(&ws, &who, shell, (Some(form), wrong))?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

async fn test(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let flash = match letters::test(&ws, &who.email).await {
        Ok(()) => Flash::ok(format!("A test email is on its way to {}.", who.email)),
        Err((why, _)) => Flash::danger(format!("Couldn’t send: {why}.")),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url("settings/mail"))))
}

async fn remove(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    ws.write(&who, rules::drop_mail).await?;
    let back = hx.go_to(&ws.url("settings/mail"));
    Ok(flash::say(&app, Flash::ok("HQ no longer sends email."), back))
}

// ── Unsubscribe link ──

#[derive(Template)]
#[template(path = "notifications/unsubscribe.html")]
struct UnsubscribePage {
    theme: Theme,
    done: bool,
    what: String,
    action: String,
}

async fn ask(
    app: App,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, PageError> {
    let ending = letters::read_link(&app, &token);
    let ending = ending.ok_or_else(|| PageError::not_found("This link"))?;
    let what = match ending.group {
        Some(group) => format!("You won’t get any more emails about: {}.", group.label()),
        None => "You won’t get any more daily emails.".to_owned(),
    };
    let action = format!("/unsubscribe/{token}");
    html::page(&UnsubscribePage { theme: Theme::from_headers(&headers), done: false, what, action })
}

/// Also called by mail clients for one-click unsubscribe.
async fn end(
    app: App,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, PageError> {
    let lost = || PageError::not_found("This link");
    let ending = letters::read_link(&app, &token).ok_or_else(lost)?;
    let ws = app.workspace_by_id(ending.workspace).ok_or_else(lost)?;
    super::open(&ws)?;
    let (member, group) = (ending.member, ending.group);
    let by = (Actor::System(Part::Consumer), Cause::Timer);
    let quiet = move |tx: &mut WriteTx<'_>| {
        if workspace::member(tx, member)?.is_none() {
            return Err(NotificationError::NotFound);
        }
        rules::silence(tx, member, group)
    };
    ws.write(&by, quiet).await?;
    let (what, action) = (String::new(), String::new());
    html::page(&UnsubscribePage { theme: Theme::from_headers(&headers), done: true, what, action })
}
