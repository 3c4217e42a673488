//! Notifications by mail: immediate mails and daily digests.

use std::fmt::Write as _;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::notifications::model::Recipient;
use crate::notifications::model::sending::{
    Delivery, MAIL_PASSWORD, MailSecrecy, MailSettings, Out,
};
use crate::notifications::queries::view::{Lens, Line};
use crate::notifications::queries::{self, sending as reading};
use crate::notifications::rules::sending::Passing;
use crate::tasks::queries as tasks;
use crate::workspace::model::Member;
use crate::workspace::queries as workspace;
use app::{App, Ws};
use crypto::keyring::{Binding, Sealed};
use crypto::redact::Spot;
use crypto::token::Signer;
use kernel::{AccountId, Assignee, InviteId, NoticeGroup, WorkspaceId};
use net::mail::{Letter, MailError, MailServer, Mailer, Secrecy, Smtp};
use store::{Read, ReadExt as _, StoreError};
use web::html::escape;

use super::{NotSent, unread};

/// Signing purpose of unsubscribe links.
const PURPOSE: &str = "unsubscribe";
/// Maximum number of stuck tasks in a digest.
const MAX_ALONE: usize = 50;
/// Lifetime of an unsubscribe link.
const GOOD: SignedDuration = SignedDuration::from_hours(24 * 400);

/// Public URL of this server.
#[must_use]
pub fn origin(app: &App) -> String {
    let local = || format!("http://{}", app.config.listen);
    app.config.public_url.clone().unwrap_or_else(local)
}

/// Binding under which a workspace's mail password is sealed.
#[must_use]
pub fn place(owner: &str) -> Binding<'_> {
    Binding { scope: "workspace", owner, name: MAIL_PASSWORD }
}

/// Seals a workspace's mail password.
#[must_use]
pub fn seal(ws: &Ws, password: &str) -> Sealed {
    ws.app.keyring.seal_bound(place(&ws.id.to_string()), password.as_bytes())
}

/// Mail server of a workspace, with its credentials.
///
/// # Errors
/// If there is none or its password cannot be unsealed.
pub fn server(ws: &Ws) -> Result<(MailServer, MailSettings), NotSent> {
    let found = ws.read(|snap| {
        let secret = reading::secret(snap, MAIL_PASSWORD)?;
        Ok::<_, StoreError>((reading::mail(snap)?, secret))
    });
    let (settings, secret) = found.map_err(|error| unread(&error))?;
    let no = |why: &str| (why.to_owned(), Passing::No);
    let settings = settings.ok_or_else(|| no("no mail server is set up"))?;
    let password = match secret {
        None => None,
        Some(secret) => {
            let opened = ws.app.keyring.open(&secret.sealed, place(&ws.id.to_string()));
            let opened = opened.map_err(|_| no("the mail server’s password can’t be read"))?;
            let text = opened.expose_text().map_err(|_| no("the password isn’t valid text"))?;
            Some(text.to_owned())
        }
    };
    let user = settings.user.clone();
    let login = password.filter(|_| !user.is_empty()).map(|password| (user, password));
    let secrecy = match settings.secrecy {
        MailSecrecy::Tls => Secrecy::Tls,
        MailSecrecy::StartTls => Secrecy::StartTls,
        MailSecrecy::Open => Secrecy::Open,
    };
    let (host, port) = (settings.host.clone(), settings.port);
    Ok((MailServer { host, port, secrecy, login }, settings))
}

/// Sends a delivery by mail.
///
/// # Errors
/// If the mail server rejects it.
pub async fn send(ws: &Ws, delivery: &Delivery) -> Result<(), NotSent> {
    let found = gather(ws, delivery).map_err(|error| unread(&error))?;
    let Some((member, group, items)) = found else { return Ok(()) };
    let link = unsubscribe_link(ws, member.account, group);
    let (server, settings) = server(ws)?;
    let (subject, text, html) = words(ws, &items, &link);
    let letter = Letter {
        from: settings.from,
        to: member.email,
        subject,
        text,
        html,
        id: format!("{}.{}.{}", delivery.row, delivery.member, delivery.due_at.as_millisecond()),
        unsubscribe: link,
    };
    post(&server, &letter).await
}

/// Sends a test mail.
///
/// # Errors
/// If the mail server rejects it.
pub async fn test(ws: &Ws, to: &str) -> Result<(), NotSent> {
    let (server, settings) = server(ws)?;
    let words = "Emails from HQ arrive here.";
    let letter = Letter {
        from: settings.from,
        to: to.to_owned(),
        subject: "HQ can send email".to_owned(),
        text: format!("{words}\n\n{}\n", origin(&ws.app)),
        html: format!("<p>{words}</p>"),
        id: format!("test.{}", ws.app.clock.now_ms()),
        unsubscribe: String::new(),
    };
    post(&server, &letter).await
}

pub struct Invitation<'a> {
    /// Used for the message id, so that a mail sent twice is recognised.
    pub id: InviteId,
    /// Bound address.
    pub to: &'a str,
    /// Display name.
    pub inviter: &'a str,
    /// Role with its article, such as `a member`.
    pub role: &'a str,
    /// Contains the token: do not store or log.
    pub link: &'a str,
    /// Lifetime of the link.
    pub hours: i64,
}

/// Returns `true` if the workspace has a mail server.
pub fn is_set_up(ws: &Ws) -> Result<bool, StoreError> {
    Ok(ws.read(|snap| reading::mail(snap))?.is_some())
}

/// Mails an invitation during the request. Not retried, because the token is stored nowhere.
///
/// # Errors
/// If the mail server rejects it.
pub async fn invite(ws: &Ws, invitation: &Invitation<'_>) -> Result<(), NotSent> {
    let (server, settings) = server(ws)?;
    let workspace = ws.read(|snap| workspace::settings(snap)).map_err(|error| unread(&error))?;
    let workspace = workspace.map_or_else(|| ws.slug.to_string(), |settings| settings.name);
    let Invitation { inviter, role, link, hours, .. } = *invitation;
    let offer = format!("{inviter} invited you to join {workspace} on HQ as {role}.");
    let terms = format!(
        "The link works once and expires after {hours} hours. If you don’t know {inviter}, \
         ignore this email."
    );
    let letter = Letter {
        from: settings.from,
        to: invitation.to.to_owned(),
        subject: format!("{inviter} invited you to {workspace}"),
        text: format!("{offer}\n\nAccept the invitation: {link}\n\n{terms}\n"),
        html: format!(
            "<p>{}</p><p><a href=\"{}\">Accept the invitation</a></p><p><small>{}</small></p>",
            escape(&offer),
            escape(link),
            escape(&terms)
        ),
        id: format!("invite.{}", invitation.id),
        unsubscribe: String::new(),
    };
    post(&server, &letter).await
}

async fn post(server: &MailServer, letter: &Letter) -> Result<(), NotSent> {
    Smtp.send(server, letter).await.map_err(|error: MailError| {
        let passing = if error.is_passing() { Passing::Yes } else { Passing::No };
        (error.to_string(), passing)
    })
}

/// One entry of a mail.
struct Told {
    title: String,
    body: String,
    /// Path below the workspace, or empty.
    path: String,
    /// Reason for notifying this person.
    why: &'static str,
}

/// Recipient, group of an immediate mail, and entries. `None` if there is nothing to send any more.
type Found = Option<(Member, Option<NoticeGroup>, Vec<Told>)>;

fn gather(ws: &Ws, delivery: &Delivery) -> Result<Found, StoreError> {
    ws.read(|snap| {
        let Some(member) = workspace::member(snap, delivery.member)? else { return Ok(None) };
        let zone = workspace::settings(snap)?.and_then(|all| TimeZone::get(&all.zone).ok());
        let zone = zone.unwrap_or(TimeZone::UTC);
        let lens = Lens::new(snap, ws.app.clock.now(), &zone)?;
        let (mut group, mut items) = (None, Vec::new());
        for first in &delivery.rows {
            let row = snap.get::<Recipient>((delivery.member, *first))?;
            let Some(row) = row.filter(|row| row.read_at.is_none()) else { continue };
            if let Some(Line { title, body, path, why, .. }) = lens.line(snap, &row)? {
                group.get_or_insert(row.kind.group());
                let clean = |text: &str| ws.app.redactor.masked(Spot::Messages, text).into_owned();
                items.push(Told { title: clean(&title), body: clean(&body), path, why });
            }
        }
        if delivery.out == Out::Digest {
            group = None;
            items.extend(alone(snap, &lens, delivery.member)?);
        }
        Ok(if items.is_empty() { None } else { Some((member, group, items)) })
    })
}

/// Stuck tasks on which the member has to act, for the digest.
fn alone(read: &dyn Read, lens: &Lens<'_>, member: AccountId) -> Result<Vec<Told>, StoreError> {
    if !queries::choices(read, member)?.group(NoticeGroup::Tasks).digest {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    for task in tasks::alone(read, Assignee::Person(member), lens.now, MAX_ALONE)? {
        let name = tasks::name(read, task.number)?;
        let agent = task.assignee.map(|who| lens.people.name(who)).unwrap_or_default();
        items.push(Told {
            path: format!("tasks/{name}"),
            title: format!("Stalled: {name} {}", task.title),
            body: format!("It’s open and assigned to {agent}, but no run is planned."),
            why: "It needs you",
        });
    }
    Ok(items)
}

/// Subject, plain text and HTML.
fn words(ws: &Ws, lines: &[Told], unsubscribe: &str) -> (String, String, String) {
    let here = origin(&ws.app);
    let subject = match lines {
        [one] => one.title.clone(),
        many => format!("{} new in {}", many.len(), ws.slug),
    };
    let (mut text, mut html) = (String::new(), String::from("<div>"));
    for line in lines {
        let link = match line.path.is_empty() {
            true => format!("{here}{}", ws.url("notifications")),
            false => format!("{here}{}", ws.url(&line.path)),
        };
        // ok: writing to a string does not fail.
        let _ = writeln!(text, "{}", line.title);
        let _ = write!(
            html,
            "<p><a href=\"{}\"><b>{}</b></a><br>{}<br><small>{}</small></p>",
            escape(&link),
            escape(&line.title),
            escape(&line.body),
            escape(line.why)
        );
        if !line.body.is_empty() {
            let _ = writeln!(text, "{}", line.body);
        }
        let _ = writeln!(text, "{link}\n({})\n", line.why);
    }
    let _ = writeln!(text, "-- \nUnsubscribe: {unsubscribe}");
    let _ = write!(
        html,
        "<hr><p><small><a href=\"{}\">Unsubscribe</a></small></p></div>",
        escape(unsubscribe)
    );
    (subject, text, html)
}

/// Unsubscribe link for one person and workspace. Without a group, for the digest.
fn unsubscribe_link(ws: &Ws, member: AccountId, group: Option<NoticeGroup>) -> String {
    let until = (ws.app.clock.now() + GOOD).as_millisecond();
    let value = format!("{}\n{member}\n{}", ws.id, group.map_or("", NoticeGroup::word));
    let token = Signer::new(&ws.app.keyring).sign(PURPOSE, value.as_bytes(), until);
    format!("{}/unsubscribe/{token}", origin(&ws.app))
}

/// Content of an unsubscribe link.
pub struct Ending {
    pub workspace: WorkspaceId,
    pub member: AccountId,
    /// `None` means the digest.
    pub group: Option<NoticeGroup>,
}

/// Verifies and decodes the token of an unsubscribe link.
#[must_use]
pub fn read_link(app: &App, token: &str) -> Option<Ending> {
    let value = Signer::new(&app.keyring).verify(PURPOSE, token, app.clock.now_ms()).ok()?;
    let value = String::from_utf8(value).ok()?;
    let mut parts = value.split('\n');
    let workspace = parts.next()?.parse().ok()?;
    let member = parts.next()?.parse().ok()?;
    let group = match parts.next()? {
        "" => None,
        word => Some(word.parse().ok()?),
    };
    Some(Ending { workspace, member, group })
}
