//! Connecting a bot: its token is checked at the platform first, and sealed before the transaction.

use std::time::Duration;

use channel_adapters::{self as adapters, Fault, FaultKind, Identity};
use kernel::{ChannelId, Error, ProblemKind};
use kit::{OpCx, Prepared, Reply};
use serde_json::json;
use store::{BlobId, WriteTx};
use vault::model::{Category, Scope};
use vault::rules::{NewSecret, Patch};
use vault::values::{self, Ends, NewValue};

use crate::model::{Channel, Kind, Previews};
use crate::{codes, hook, nouns, queries, rules, worker};

/// Longest wait for the platform.
const PATIENCE: Duration = Duration::from_secs(30);
const PICTURE_PATIENCE: Duration = Duration::from_secs(5);
/// Largest picture in bytes.
const MAX_PICTURE: u64 = 500_000;

/// The checked bot and its sealed tokens.
struct Checked {
    identity: Identity,
    tokens: Vec<NewValue>,
    picture: Option<BlobId>,
}

/// Checks tokens at the platform and seals them.
fn check(cx: &OpCx<'_>, ws: &app::Ws, kind: Kind, api_base: &str) -> Result<Checked, Error> {
    let given = cx.text("token").trim();
    let token = match kind {
        Kind::Telegram => adapters::telegram::token_in(given).ok_or_else(|| {
            Error::field("token", "This contains no bot token. Copy it from BotFather.")
        })?,
        Kind::Discord | Kind::Slack => given,
        Kind::Webhook => {
            let message =
                "HQ makes the signing secret. Leave this empty and use New signing secret.";
            return Err(Error::field("token", message));
        }
    };
    let app_token = cx.text("app_token").trim();
    let tokens = match kind {
        Kind::Slack if app_token.is_empty() => {
            return Err(Error::field("app_token", "Slack needs an app-level token, too."));
        }
        Kind::Slack => vec![app_token, token],
        Kind::Telegram | Kind::Discord | Kind::Webhook => vec![token],
    };
    let refused = |fault: Fault| match fault.kind {
        FaultKind::Transient | FaultKind::UnknownAfterSend | FaultKind::NotReady => {
            let reason = web::form::sentence(&fault.detail);
            let message = format!("{} couldn’t be reached. {reason}", kind.label());
            Error::new(ProblemKind::Unavailable, "channel_unreachable", message)
        }
        _ => Error::field("token", web::form::sentence(&fault.detail)),
    };
    let adapter = worker::connect(ws, kind, &tokens, api_base).map_err(refused)?;
    let identity = wait(adapter.check(), PATIENCE).map_err(refused)?;
    let seal = |token: &&str| {
        let label = "token of a channel";
        values::seal_watched(&ws.app, label, token, Some(Ends::Trim)).map_err(Error::of)
    };
    let tokens = tokens.iter().map(seal).collect::<Result<Vec<_>, Error>>()?;
    let picture = picture(ws, &*adapter);
    Ok(Checked { identity, tokens, picture })
}

/// Stores the bot's picture. Without one, or if the platform does not deliver it, the bot is connected all the same.
fn picture(ws: &app::Ws, adapter: &dyn adapters::Channel) -> Option<BlobId> {
    let bytes = wait(adapter.picture(MAX_PICTURE), PICTURE_PATIENCE);
    let bytes =
        bytes.inspect_err(|fault| tracing::debug!(%fault, "no picture of a bot")).ok()??;
    match web::file::Kind::of(&bytes) {
        web::file::Kind::Image(_) => ws.blobs.put(&bytes).ok(),
        _ => None,
    }
}

/// Waits for a call to the platform on this blocking thread.
fn wait<T>(call: adapters::BoxFuture<'_, T>, limit: Duration) -> Result<T, Fault> {
    let Ok(handle) = tokio::runtime::Handle::try_current() else {
        return Err(Fault::new(FaultKind::NotReady, "Start HQ first."));
    };
    let timed = handle.block_on(async { tokio::time::timeout(limit, call).await });
    timed.unwrap_or_else(|_| Err(Fault::new(FaultKind::Transient, "It didn’t answer in time.")))
}

fn kind_of(cx: &OpCx<'_>) -> Result<Kind, Error> {
    let word = cx.text("kind");
    let at = Kind::WORDS.iter().position(|known| *known == word);
    at.map(|at| Kind::ALL[at]).ok_or_else(|| Error::field("kind", "Choose a messenger."))
}

pub(crate) fn check_new(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    ws.read(|snap| nouns::agent_in(snap, cx.text("agent")).map(drop))?;
    let kind = kind_of(cx)?;
    Ok(Box::new(match kind {
        Kind::Webhook if cx.text("token").is_empty() => check_bridge(cx)?,
        _ => check(cx, ws, kind, cx.text("api_base"))?,
    }))
}

/// A bridge is not called yet: it has no secret to check HQ’s signature with.
fn check_bridge(cx: &OpCx<'_>) -> Result<Checked, Error> {
    let refused = |fault: Fault| Error::field("api_base", web::form::sentence(&fault.detail));
    adapters::webhook::address(cx.text("api_base")).map_err(refused)?;
    let name = cx.text("name").trim().to_owned();
    if name.is_empty() {
        return Err(Error::field("name", "Enter a name for the bridge."));
    }
    let identity = Identity { id: codes::address(), name, ..Identity::default() };
    Ok(Checked { identity, tokens: Vec::new(), picture: None })
}

fn checked(prepared: Prepared) -> Result<Checked, Error> {
    let lost = |_| Error::new(ProblemKind::Internal, "internal", "the check was lost");
    prepared.downcast::<Checked>().map(|checked| *checked).map_err(lost)
}

/// One bot is connected once, or its messages would be split between two channels.
fn free(tx: &WriteTx<'_>, kind: Kind, bot: &str, but: Option<ChannelId>) -> Result<(), Error> {
    let mut all = queries::all(tx)?.into_iter();
    let taken = all.find(|one| one.kind == kind && one.bot_id == bot && Some(one.id) != but);
    match taken {
        None => Ok(()),
        Some(taken) => {
            let message = format!("this bot is already connected as the channel “{}”", taken.name);
            Err(Error::new(ProblemKind::Conflict, "channel_taken", message))
        }
    }
}

pub(crate) fn create(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let Checked { identity, tokens, picture } = checked(prepared)?;
    let kind = kind_of(cx)?;
    free(tx, kind, &identity.id, None)?;
    let agent = nouns::agent_in(tx, cx.text("agent"))?;
    let name = match cx.text("name").trim() {
        "" => kernel::text::one_line(&identity.name).chars().take(60).collect(),
        name => name.to_owned(),
    };
    let secrets = tokens
        .into_iter()
        .enumerate()
        .map(|(n, value)| secret(tx, kind, n, &name, value))
        .collect::<Result<Vec<_>, Error>>()?;
    let now = tx.now();
    let channel = Channel {
        id: tx.new_id(),
        kind,
        name,
        agent: Some(agent.id),
        is_enabled: true,
        bot_id: identity.id,
        bot_name: identity.name,
        bot_handle: identity.handle,
        link: identity.link.unwrap_or_default(),
        invite: identity.invite.unwrap_or_default(),
        api_base: cx.text("api_base").to_owned(),
        secrets,
        token_version: 1,
        by: tx.by(),
        created_at: now,
        updated_at: now,
        may_decide: kind != Kind::Webhook,
        picture,
        // Drafts of Telegram cost nothing; elsewhere a preview is a message that disappears.
        stream: if kind == Kind::Telegram { Previews::Edit } else { Previews::Off },
    };
    rules::create(tx, &channel)?;
    Ok(Reply::record(&channel.id))
}

/// Stores a sealed token as a secret that no agent can use.
fn secret(
    tx: &mut WriteTx<'_>,
    kind: Kind,
    n: usize,
    name: &str,
    value: NewValue,
) -> Result<vault::model::SecretId, Error> {
    let key = match (kind, n) {
        (Kind::Telegram, _) => "TELEGRAM_BOT_TOKEN",
        (Kind::Discord, _) => "DISCORD_BOT_TOKEN",
        (Kind::Slack, 0) => "SLACK_APP_TOKEN",
        (Kind::Slack, _) => "SLACK_BOT_TOKEN",
        (Kind::Webhook, _) => "CHANNEL_WEBHOOK_SECRET",
    };
    let new = NewSecret {
        name: format!("{} of the channel {name}", kind.label()),
        key: Some(key.to_owned()),
        category: Category::Channel,
        plain: false,
        value,
        patch: Patch { scope: Some(Scope::Agents(Vec::new())), ..Patch::default() },
    };
    Ok(vault::rules::create(tx, new).map_err(Error::of)?.id)
}

pub(crate) fn check_rotated(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let channel = ws.read(|snap| cx.record::<Channel>(snap))?;
    let checked = check(cx, ws, channel.kind, &channel.api_base)?;
    if checked.identity.id != channel.bot_id {
        let message = format!("This token belongs to another bot than {}.", channel.bot_name);
        return Err(Error::field("token", message));
    }
    Ok(Box::new(checked))
}

pub(crate) fn rotate(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let Checked { identity, tokens, picture } = checked(prepared)?;
    let old: Channel = cx.record(tx)?;
    let new = Channel {
        bot_name: identity.name,
        bot_handle: identity.handle,
        picture,
        ..replaced(tx, &old, tokens)?
    };
    rules::change(tx, &old, &new)?;
    Ok(Reply::record(&old.id))
}

/// The channel with other tokens, which are stored.
fn replaced(tx: &mut WriteTx<'_>, old: &Channel, tokens: Vec<NewValue>) -> Result<Channel, Error> {
    let mut secrets = Vec::new();
    for (n, value) in tokens.into_iter().enumerate() {
        let known = old.secrets.get(n).copied();
        secrets.push(match known {
            Some(id) if vault::rules::set_value_of_channel(tx, id, value.clone()).is_ok() => id,
            _ => secret(tx, old.kind, n, &old.name, value)?,
        });
    }
    let (token_version, updated_at) = (old.token_version + 1, tx.now());
    Ok(Channel { secrets, token_version, updated_at, ..old.clone() })
}

/// A new signing secret and its sealed value, with the address of HQ.
struct Made {
    secret: String,
    sealed: NewValue,
    origin: String,
}

pub(crate) fn make_secret(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let channel = ws.read(|snap| cx.record::<Channel>(snap))?;
    if channel.kind != Kind::Webhook {
        let message = "only webhook channels have a signing secret; replace the token instead";
        return Err(Error::new(ProblemKind::Conflict, "no_signing_secret", message));
    }
    let secret = adapters::webhook::new_secret();
    let label = "secret of a channel";
    let sealed =
        values::seal_watched(&ws.app, label, &secret, Some(Ends::Trim)).map_err(Error::of)?;
    let origin = features::notifications::sending::letters::origin(&ws.app);
    Ok(Box::new(Made { secret, sealed, origin }))
}

/// Whoever knows the secret could forge an owner's decisions, so that an owner has to allow them again.
pub(crate) fn give_secret(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let lost = |_| Error::new(ProblemKind::Internal, "internal", "the secret was lost");
    let made = prepared.downcast::<Made>().map_err(lost)?;
    let old: Channel = cx.record(tx)?;
    let new = Channel { may_decide: false, ..replaced(tx, &old, vec![made.sealed])? };
    rules::change(tx, &old, &new)?;
    let address = format!("{}{}{}", made.origin, hook::PATH, old.bot_id);
    let secret = made.secret;
    let message = format!(
        "Give the bridge this address: {address} and this signing secret, which is not shown \
         again: {secret}"
    );
    Ok(Reply::json(&json!({ "message": message, "address": address, "secret": secret })))
}

pub(crate) fn remove_webhook(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let channel = ws.read(|snap| cx.record::<Channel>(snap))?;
    let done =
        worker::open(ws, &channel).and_then(|adapter| wait(adapter.remove_webhook(), PATIENCE));
    done.map_err(|fault| {
        let message = web::form::sentence(&fault.detail);
        Error::new(ProblemKind::Unavailable, "channel_unreachable", message)
    })?;
    Ok(Box::new(()))
}

/// Connects at once, instead of after the pause that follows a fault.
pub(crate) fn reconnect(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, _: Prepared) -> Result<Reply, Error> {
    let old: Channel = cx.record(tx)?;
    let (token_version, updated_at) = (old.token_version + 1, tx.now());
    let new = Channel { token_version, updated_at, ..old.clone() };
    rules::change(tx, &old, &new)?;
    Ok(Reply::record(&old.id))
}

pub(crate) fn probe(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let channel = ws.read(|snap| cx.record::<Channel>(snap))?;
    let adapter = worker::open(ws, &channel);
    let message = match adapter.and_then(|adapter| wait(adapter.check(), PATIENCE)) {
        Ok(identity) if identity.warnings.is_empty() => {
            format!("{} answers, and the bot is set up correctly.", channel.kind.label())
        }
        Ok(identity) => {
            let warnings = identity.warnings.iter().map(|text| web::form::sentence(text));
            warnings.collect::<Vec<String>>().join(" ")
        }
        Err(fault) => web::form::sentence(&fault.detail),
    };
    Ok(Box::new(message))
}

pub(crate) fn probed(
    _: &OpCx<'_>,
    _: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let message = prepared.downcast::<String>().map(|text| *text).unwrap_or_default();
    Ok(Reply::json(&json!({ "message": message })))
}
