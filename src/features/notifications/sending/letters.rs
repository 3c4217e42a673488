//! Notifications as letters: one at once, or all of a day.

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

/// What signs the links that end letters.
const PURPOSE: &str = "unsubscribe";
/// The letter of the day names so many tasks that nobody is on.
const MAX_ALONE: usize = 50;
/// How long such a link is good.
const GOOD: SignedDuration = SignedDuration::from_hours(24 * 400);

/// The address of this server, as people outside find it.
#[must_use]
pub fn origin(app: &App) -> String {
    let local = || format!("http://{}", app.config.listen);
    app.config.public_url.clone().unwrap_or_else(local)
}

/// The place for which the password of a workspace's mail server is sealed.
#[must_use]
pub fn place(owner: &str) -> Binding<'_> {
    Binding { scope: "workspace", owner, name: MAIL_PASSWORD }
}

/// Seals a password for the mail server of a workspace.
#[must_use]
pub fn seal(ws: &Ws, password: &str) -> Sealed {
    ws.app.keyring.seal_bound(place(&ws.id.to_string()), password.as_bytes())
}

/// The server of a workspace, with what opens it.
///
/// # Errors
/// When there is none, or its password cannot be read.
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
            let opened =
                opened.map_err(|_| no("the password of the mail server cannot be read"))?;
            let text = opened.expose_text().map_err(|_| no("the password is no text"))?;
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

/// Sends what a delivery tells of.
///
/// # Errors
/// When the mail server does not take it.
pub async fn send(ws: &Ws, delivery: &Delivery) -> Result<(), NotSent> {
    let found = gather(ws, delivery).map_err(|error| unread(&error))?;
    let Some((member, group, told)) = found else { return Ok(()) };
    let link = unsubscribe_link(ws, member.account, group);
    let (server, settings) = server(ws)?;
    let (subject, text, html) = words(ws, &told, &link);
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

/// Sends a letter that says that letters arrive.
///
/// # Errors
/// When the mail server does not take it.
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

/// An invitation, and who gets it.
pub struct Invitation<'a> {
    /// Names the email, so that one that is sent twice is known as one.
    pub id: InviteId,
    /// The address it is bound to.
    pub to: &'a str,
    /// The name of the person who invites.
    pub inviter: &'a str,
    /// The role with its article: `a member`.
    pub role: &'a str,
    /// Contains the token, and so is neither stored nor logged.
    pub link: &'a str,
    /// How long the link works.
    pub hours: i64,
}

/// Whether the workspace has a mail server.
pub fn is_set_up(ws: &Ws) -> Result<bool, StoreError> {
    Ok(ws.read(|snap| reading::mail(snap))?.is_some())
}

/// Emails an invitation. It is sent while the request waits and is not retried, because the token is nowhere stored.
///
/// # Errors
/// When the mail server does not take it.
pub async fn invite(ws: &Ws, invitation: &Invitation<'_>) -> Result<(), NotSent> {
    let (server, settings) = server(ws)?;
    let workspace = ws.read(|snap| workspace::settings(snap)).map_err(|error| unread(&error))?;
    let workspace = workspace.map_or_else(|| ws.slug.to_string(), |settings| settings.name);
    let Invitation { inviter, role, link, hours, .. } = *invitation;
    let offer = format!("{inviter} invites you to join {workspace} on HQ as {role}.");
    let terms = format!(
        "The link works once, within {hours} hours. If you do not know {inviter}, ignore this email."
    );
    let letter = Letter {
        from: settings.from,
        to: invitation.to.to_owned(),
        subject: format!("{inviter} invites you to {workspace}"),
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

/// What a letter says of one thing.
struct Told {
    title: String,
    body: String,
    /// The page below the workspace that it leads to, or nothing.
    path: String,
    /// Why this person.
    why: &'static str,
}

/// The person, the group of a letter at once, and what is still to be told; nothing when nobody is left to tell.
type Found = Option<(Member, Option<NoticeGroup>, Vec<Told>)>;

fn gather(ws: &Ws, delivery: &Delivery) -> Result<Found, StoreError> {
    ws.read(|snap| {
        let Some(member) = workspace::member(snap, delivery.member)? else { return Ok(None) };
        let zone = workspace::settings(snap)?.and_then(|all| TimeZone::get(&all.zone).ok());
        let zone = zone.unwrap_or(TimeZone::UTC);
        let lens = Lens::new(snap, ws.app.clock.now(), &zone)?;
        let (mut group, mut told) = (None, Vec::new());
        for first in &delivery.rows {
            let row = snap.get::<Recipient>((delivery.member, *first))?;
            let Some(row) = row.filter(|row| row.read_at.is_none()) else { continue };
            if let Some(Line { title, body, path, why, .. }) = lens.line(snap, &row)? {
                group.get_or_insert(row.kind.group());
                let clean = |text: &str| ws.app.redactor.masked(Spot::Messages, text).into_owned();
                told.push(Told { title: clean(&title), body: clean(&body), path, why });
            }
        }
        if delivery.out == Out::Digest {
            group = None;
            told.extend(alone(snap, &lens, delivery.member)?);
        }
        Ok(if told.is_empty() { None } else { Some((member, group, told)) })
    })
}

/// The tasks that nobody is on and a person has to act in, for the letter of the day.
fn alone(read: &dyn Read, lens: &Lens<'_>, member: AccountId) -> Result<Vec<Told>, StoreError> {
    if !queries::choices(read, member)?.group(NoticeGroup::Tasks).digest {
        return Ok(Vec::new());
    }
    let mut told = Vec::new();
    for task in tasks::alone(read, Assignee::Person(member), lens.now, MAX_ALONE)? {
        let name = tasks::name(read, task.number)?;
        let agent = task.assignee.map(|who| lens.people.name(who)).unwrap_or_default();
        told.push(Told {
            path: format!("tasks/{name}"),
            title: format!("Nobody is on {name}: {}", task.title),
            body: format!("It is open and {agent} has it, but nothing will wake it."),
            why: "It waits for you",
        });
    }
    Ok(told)
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

/// A link that ends letters of a group, or those of the day, for one person of one workspace.
fn unsubscribe_link(ws: &Ws, member: AccountId, group: Option<NoticeGroup>) -> String {
    let until = (ws.app.clock.now() + GOOD).as_millisecond();
    let value = format!("{}\n{member}\n{}", ws.id, group.map_or("", NoticeGroup::word));
    let token = Signer::new(&ws.app.keyring).sign(PURPOSE, value.as_bytes(), until);
    format!("{}/unsubscribe/{token}", origin(&ws.app))
}

/// What a link ends: in which workspace, whose letters, of which group or the ones of the day.
pub struct Ending {
    pub workspace: WorkspaceId,
    pub member: AccountId,
    /// Of what; the letters of the day when there is none.
    pub group: Option<NoticeGroup>,
}

/// Reads such a link's token.
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
