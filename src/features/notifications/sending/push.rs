//! Web push notifications.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use url::Url;

use crate::notifications::model::Recipient;
use crate::notifications::model::sending::{self as model, Delivery, PushSubscription};
use crate::notifications::queries::sending as reading;
use crate::notifications::queries::view::{self, Lens};
use crate::notifications::queries::{self, MANY};
use crate::notifications::rules::NotificationError;
use crate::notifications::rules::sending::{self as rules, Passing};
use crate::trust::model::Approval;
use crate::trust::queries as trust;
use crate::workspace::queries as workspace;
use app::{App, Ws};
use crypto::keyring::{Binding, Sealed};
use crypto::redact::Spot;
use crypto::webpush::{self, BrowserKeys, Vapid};
use kernel::{
    About, AccountId, Actor, Cause, NoticeGroup, NoticeKind, Part, Risk, Role, Timestamp,
};
use net::message::{Method, Policy, Request};
use store::{Read, ReadExt as _, StoreError};
use web::fields::once_key;

use super::{NotSent, letters, unread};

/// Time to live of a message at the push service, in seconds.
const KEEP_SECS: u32 = 24 * 3_600;
/// Lifetime of a VAPID signature.
const GOOD: SignedDuration = SignedDuration::from_hours(12);
/// Actor and cause for removing dead subscriptions.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Timer);

/// Binding under which the VAPID key is sealed.
pub const PLACE: Binding<'static> = Binding { scope: "instance", owner: "", name: model::VAPID };

/// VAPID key of this server. Created on first use.
///
/// # Errors
/// If the stored key cannot be used.
pub async fn vapid(app: &App) -> Result<Vapid, NotificationError> {
    let broken = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
    let known = app.system.read(|snap| reading::secret(snap, model::VAPID))?;
    let sealed: Sealed = match known {
        Some(known) => known.sealed,
        None => {
            let made = Vapid::issue().map_err(|error| broken(&error))?;
            let sealed = app.keyring.seal_bound(PLACE, &made);
            let (by, cause) = BY;
            app.system.write(by, cause, move |tx| rules::keep_vapid(tx, sealed)).await?
        }
    };
    let opened = app.keyring.open(&sealed, PLACE).map_err(|error| broken(&error))?;
    Ok(Vapid::read(opened.expose()).map_err(|error| broken(&error))?)
}

/// A push message for all browsers of a person.
struct Message {
    body: Vec<u8>,
    topic: String,
    urgent: bool,
}

/// Sends a delivery to all browsers of its person.
///
/// # Errors
/// If a push service is temporarily unavailable.
pub async fn send(ws: &Ws, delivery: &Delivery) -> Result<(), NotSent> {
    let member = delivery.member;
    let browsers = ws.app.system.read(|snap| reading::browsers(snap, member));
    let browsers = browsers.map_err(|error: StoreError| unread(&error))?;
    if browsers.is_empty() {
        return Ok(());
    }
    let message = message(ws, delivery).map_err(|error| unread(&error))?;
    let Some(message) = message else { return Ok(()) };
    let vapid = vapid(&ws.app).await.map_err(|error| (error.to_string(), Passing::Yes))?;
    let mut failed = None;
    for browser in browsers {
        match tell(&ws.app, &vapid, &browser, &message).await {
            Ok(Answer::Taken) => {}
            Ok(Answer::Gone) => drop_browser(&ws.app, member, browser.endpoint).await,
            Err(why) => failed = Some(why),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn message(ws: &Ws, delivery: &Delivery) -> Result<Option<Message>, StoreError> {
    let now = ws.app.clock.now();
    ws.read(|snap| {
        let row = snap.get::<Recipient>((delivery.member, delivery.row))?;
        let Some(row) = row.filter(|row| row.read_at.is_none()) else { return Ok(None) };
        let Some(body) = payload(ws, snap, &row, now)? else { return Ok(None) };
        let urgent = row.kind.group() == NoticeGroup::Questions;
        Ok(Some(Message { body: body.to_string().into_bytes(), topic: view::topic(&row), urgent }))
    })
}

/// JSON payload for a row, or `None` if its notification was deleted. For an approval request it has the tool and the
/// risk, but never the arguments. It has a link for answering directly if the member may answer and the risk is not
/// high.
pub fn payload(
    ws: &Ws,
    snap: &dyn Read,
    row: &Recipient,
    now: Timestamp,
) -> Result<Option<Value>, StoreError> {
    let zone = TimeZone::UTC;
    let Some(line) = Lens::new(snap, now, &zone)?.line(snap, row)? else { return Ok(None) };
    let path = match line.path.is_empty() {
        true => "notifications".to_owned(),
        false => line.path,
    };
    let clean = |text: &str| ws.app.redactor.masked(Spot::Messages, text).into_owned();
    let mut json = json!({
        "title": clean(&line.title),
        "body": clean(&line.body),
        "url": ws.url(&path),
        "tag": row.first.to_string(),
        "unread": queries::unread(snap, (row.member, now), MANY)?,
    });
    if let (NoticeKind::ApprovalRequested, About::Run(run)) = (row.kind, row.about) {
        let waiting = trust::all_waiting_of(&snap, run)?;
        // Already answered.
        let Some(first) = waiting.first() else { return Ok(None) };
        json["body"] = match waiting.len() {
            1 => format!("{}, {}", first.tool, first.risk.label().to_lowercase()).into(),
            count => format!("{} {count} times", first.tool).into(),
        };
        let member = workspace::member(snap, row.member)?;
        let may = member.is_some_and(|member| member.role != Role::Viewer);
        if may && waiting.len() == 1 {
            json["answers"] = answers(ws, first);
        }
    }
    Ok(Some(json))
}

/// URL for answering with one press, and an idempotency key for it. A high-risk call has none; its card must be opened.
fn answers(ws: &Ws, approval: &Approval) -> Value {
    match approval.risk {
        Risk::High => Value::Null,
        Risk::Low | Risk::Medium => {
            json!({ "at": ws.url(&format!("approvals/{}", approval.id)), "key": once_key() })
        }
    }
}

enum Answer {
    Taken,
    /// The subscription has ended.
    Gone,
}

async fn tell(
    app: &App,
    vapid: &Vapid,
    browser: &PushSubscription,
    message: &Message,
) -> Result<Answer, NotSent> {
    let never = |error: &dyn std::fmt::Display| (error.to_string(), Passing::No);
    let Ok(keys) = BrowserKeys::read(&browser.p256dh, &browser.auth) else {
        return Ok(Answer::Gone);
    };
    let url = Url::parse(&browser.endpoint).map_err(|error| never(&error))?;
    let sealed = webpush::seal(&keys, &message.body).map_err(|error| never(&error))?;
    let until = (app.clock.now() + GOOD).as_second();
    let contact = match app.config.is_https() {
        true => letters::origin(app),
        false => "mailto:hq@localhost".to_owned(),
    };
    let signed = vapid.authorization(&url.origin().ascii_serialization(), until, &contact);
    let signed = signed.map_err(|error| never(&error))?;
    // The endpoint comes from a browser, so the request uses the egress guard like any user-supplied URL.
    let request = Request::new(Policy::Guarded, Method::Post, browser.endpoint.clone())
        .body("application/octet-stream", sealed)
        .header("content-encoding", "aes128gcm")
        .header("authorization", signed)
        .header("ttl", KEEP_SECS.to_string())
        .header("topic", message.topic.clone())
        .header("urgency", if message.urgent { "high" } else { "normal" })
        .max_body(64 * 1024);
    let answer = app.http.request(request).await;
    let answer = answer.map_err(|error| (error.to_string(), Passing::Yes))?;
    match answer.status {
        200..=299 => Ok(Answer::Taken),
        404 | 410 => Ok(Answer::Gone),
        429 | 500..=599 => {
            Err((format!("the push service answered {}", answer.status), Passing::Yes))
        }
        status => Err((format!("the push service refused the message ({status})"), Passing::No)),
    }
}

/// Deletes an ended subscription.
async fn drop_browser(app: &App, account: AccountId, endpoint: String) {
    let (by, cause) = BY;
    let gone =
        app.system.write(by, cause, move |tx| rules::unsubscribe(tx, account, &endpoint)).await;
    if let Err(error) = gone {
        tracing::warn!(%error, "a browser that is not there any more could not be forgotten");
    }
}
