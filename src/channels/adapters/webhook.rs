//! Bridges to other messengers: signed webhooks in both directions. A request has the same id in each attempt, and the
//! bridge performs it once, so that a repeat is always safe.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kernel::Clock;
use net::client::HttpClient;
use net::guard;
use net::message::Method;
use serde_json::{Value, json};

use super::api::{self, Reply, some};
use super::{
    BoxFuture, Button, ButtonStyle, Channel, CommandInfo, Fault, FaultKind, FileRef, Found,
    Identity, Inbox, OutBody, Outgoing, Receipt,
};

mod signature;

pub use signature::{Signed, Signer, new_secret};

const NAME: &str = "the bridge";

/// One bridge.
pub struct Webhook {
    url: String,
    signer: Signer,
    client: HttpClient,
    clock: Arc<dyn Clock>,
}

/// A bridge at `url`. `client` must be able to reach it with the guarded policy.
pub fn open(
    secret: &str,
    url: Option<&str>,
    client: HttpClient,
    clock: Arc<dyn Clock>,
) -> Result<Webhook, Fault> {
    let url = address(url.unwrap_or_default())?;
    let missing = "this channel has no signing secret; make one and give it to the bridge";
    let signer = Signer::of(secret).ok_or_else(|| Fault::new(FaultKind::NotReady, missing))?;
    Ok(Webhook { url, signer, client, clock })
}

/// Checks the address of a bridge.
pub fn address(url: &str) -> Result<String, Fault> {
    let checked = guard::parse(url).and_then(|url| guard::check_shape(&url));
    let wrong = "this is not the address of a bridge; write it as https://host/path";
    checked.map_err(|_| Fault::new(FaultKind::Permanent, wrong))?;
    Ok(url.trim().to_owned())
}

impl Webhook {
    async fn post(&self, id: &str, event: &Value) -> Result<Reply, Fault> {
        let (body, now) = (event.to_string(), self.clock.now().as_second());
        let request = api::request(Method::Post, &self.url)
            .header("webhook-id", id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", self.signer.sign(id, now, body.as_bytes()))
            .body("application/json", body);
        let reply = api::call(&self.client, request, NAME, false).await?;
        let (kind, detail) = match reply.status {
            200..300 => return Ok(reply),
            401 | 403 => {
                let detail = "the bridge refused the signature; give it this channel's new secret";
                (FaultKind::Permanent, detail)
            }
            408 | 429 => (FaultKind::Transient, "the bridge is busy; HQ tries again"),
            400..500 => (FaultKind::Permanent, "the bridge refused the message; see its log"),
            _ => (FaultKind::Transient, "the bridge can't take messages now; HQ tries again"),
        };
        Err(Fault::new(kind, detail).retry_after(reply.retry_after()))
    }

    /// An id of a request without a key, which is not repeated.
    fn passing_id(&self, what: &str) -> String {
        format!("{what}_{}", self.clock.now_ms())
    }

    async fn ping(&self) -> Result<Identity, Fault> {
        self.post(&self.passing_id("ping"), &json!({ "type": "ping", "data": {} })).await?;
        Ok(Identity::default())
    }

    async fn perform(&self, out: &Outgoing) -> Result<Receipt, Fault> {
        let id = match out.body {
            OutBody::Typing => self.passing_id("typing"),
            _ => out.key.clone(),
        };
        let reply = self.post(&id, &event(out)).await?;
        // If the bridge returns no id, ours identifies the message.
        let message = some(&reply.body, "/message").unwrap_or_else(|| out.key.clone());
        Ok(Receipt { message })
    }
}

/// The body of a request.
fn event(out: &Outgoing) -> Value {
    let (kind, more) = match &out.body {
        OutBody::Text { markdown, buttons } => {
            ("message", json!({ "text": markdown, "buttons": shown(buttons) }))
        }
        OutBody::Edit { message, markdown, buttons } => {
            let more = json!({ "message": message, "text": markdown, "buttons": shown(buttons) });
            ("edit", more)
        }
        OutBody::File { name, media_type, bytes, caption } => {
            let content = STANDARD.encode(bytes);
            let file = json!({ "name": name, "media_type": media_type, "content": content });
            ("file", json!({ "file": file, "text": caption }))
        }
        // Bridges get no previews: HQ sends them finished texts only.
        OutBody::Preview { markdown } | OutBody::Draft { markdown, .. } => {
            ("preview", json!({ "text": markdown }))
        }
        OutBody::Delete { message } => ("delete", json!({ "message": message })),
        OutBody::Pressed { press, text } => ("pressed", json!({ "press": press, "text": text })),
        OutBody::Typing => ("typing", json!({})),
    };
    let mut data = json!({
        "key": out.key,
        "chat": out.place.chat,
        "thread": out.place.thread,
        "reply_to": out.reply_to,
    });
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    json!({ "type": kind, "data": data })
}

fn shown(buttons: &[Button]) -> Vec<Value> {
    let style = |button: &Button| match button.style {
        ButtonStyle::Plain => "plain",
        ButtonStyle::Primary => "primary",
        ButtonStyle::Danger => "danger",
    };
    let one = |it: &Button| json!({ "label": it.label, "data": it.data, "style": style(it) });
    buttons.iter().map(one).collect()
}

impl Channel for Webhook {
    fn check(&self) -> BoxFuture<'_, Identity> {
        Box::pin(self.ping())
    }

    /// The bridge calls HQ; there is nothing to connect to.
    fn listen<'a>(&'a self, inbox: &'a dyn Inbox, _cursor: String) -> BoxFuture<'a, ()> {
        inbox.online();
        Box::pin(std::future::pending())
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Receipt> {
        Box::pin(self.perform(out))
    }

    /// A repeat is safe, so nothing has to be looked up.
    fn find<'a>(&'a self, _out: &'a Outgoing) -> BoxFuture<'a, Found> {
        Box::pin(async { Ok(Found::Absent) })
    }

    fn download<'a>(&'a self, _file: &'a FileRef, _most: u64) -> BoxFuture<'a, Bytes> {
        Box::pin(async { Err(Fault::new(FaultKind::Permanent, "bridges don't hand over files")) })
    }

    fn register<'a>(&'a self, _commands: &'a [CommandInfo]) -> BoxFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}
