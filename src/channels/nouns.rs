//! Channels on the kit: descriptors, field tables and the definition of each act.

use entity::{Area, Entity, Field, Fields, InputKind, Meaning, Stored, Type, text_of};
use features::agents::model::Agent;
use features::agents::queries as agents;
use kernel::{AgentId, Can, ChannelId, Error, ProblemKind, Timestamp};
use kit::{Acts, Answers, Extra, ExtraOf, Noun, On, Op, OpCx, Page, Reply, Row, Run};
use serde_json::{Value, json};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use tool::Effect;

mod people;
mod rooms;
mod traffic;

pub use people::{PEOPLE, PERSON};
pub use rooms::{ROOM, ROOMS, ROUTE, ROUTES};
pub use traffic::{DELIVERIES, DELIVERY, MESSAGE, MESSAGES};

use crate::connect;
use crate::model::{Channel, ChannelState, Kind, Person, Previews, State};
use crate::{codes, queries, rules};

/// Descriptors, for schema, history, undo and search.
pub static NOUNS: [&Entity; 6] = [&CHANNEL, &PERSON, &ROOM, &ROUTE, &MESSAGE, &DELIVERY];

const TABS: &[(&str, &str)] = &[
    ("channels", "Channels"),
    ("channel-people", "People"),
    ("channel-rooms", "Rooms"),
    ("channel-routes", "Routes"),
    ("channel-messages", "Received"),
    ("channel-deliveries", "Sent"),
];

const fn page(title: &'static str, row: fn(&Fields) -> Row, delete: &'static str) -> Option<Page> {
    let (detail, others) = (kit::no_detail, kit::no_others);
    Some(Page { title, row, live: state_topic, delete, tabs: TABS, detail, others })
}

fn state_topic() -> Vec<&'static str> {
    vec![crate::model::STATES.name]
}

const OP: Op = Op {
    name: "",
    on: On::One,
    can: Can::Admin,
    effect: Effect::Change,
    about: "",
    verb: "",
    done: "Saved",
    confirm: "",
    input: &[],
    answers: Answers::Record,
    tool: false,
    guide: kit::no_guide,
    links: &[],
    offered: kit::always,
    run: Run::Write(nothing),
};

fn nothing(cx: &OpCx<'_>, _: &mut WriteTx<'_>) -> Result<Reply, Error> {
    Ok(Reply::Record(cx.key()?.to_vec()))
}

pub static CHANNEL: Entity = Entity {
    area: Area::Agents,
    tables: |schema| {
        let schema = schema.with::<Channel>().with::<ChannelState>();
        schema.with::<crate::model::PairLink>().with::<crate::model::Card>()
    },
    fields: &[
        Field::choice("kind", "messenger", Kind::WORDS, Kind::LABELS).once(),
        Field::line("name", "name").required().max(60).called("title"),
        Field::flag("is_enabled", "connected").about("off stops receiving and sending"),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::text("bot_name", "bot"),
        Field::text("bot_handle", "bot's user name"),
        Field::text("bot_id", "bot's id"),
        Field::text("link", "link to the bot"),
        Field::text("invite", "link that invites the bot"),
        Field::text("api_base", "API address"),
        Field::text("secrets", "tokens").hidden().internal(),
        Field::text("token_version", "token version").hidden().internal(),
        Field::new("may_decide", "decisions allowed", Type::YesNo),
        Field::choice("stream", "previews", Previews::WORDS, Previews::LABELS)
            .about("shows an answer while it is written; the finished one follows as a message"),
        Field::text("picture", "picture").hidden().internal(),
        Field::text("by", "by").hidden().internal(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/channels".to_owned(),
    // Access, tokens and addresses are not given back by an undo.
    undo: None,
    react: Some(rules::react),
    rests: Some(rules::rests),
    triggers: Some("Channels"),
    missing: "channel_not_found",
    ..Entity::stored::<Channel>("channel", "channel", "channels")
};

pub static CHANNELS: Noun = Noun {
    acts: Acts { create: false, ..Acts::ALL },
    write: Can::Admin,
    extra: Some(Extra { schema: state_schema, prepare: states, in_lists: false }),
    ops: &[
        Op {
            name: "connect",
            on: On::All,
            effect: Effect::External,
            about: "Connect a bot: checks its token and brings it online",
            verb: "Connect channel",
            done: "Connected",
            input: &[
                Field::choice("kind", "messenger", Kind::WORDS, Kind::LABELS)
                    .required()
                    .usual("telegram"),
                Field::entered("agent", "agent", InputKind::Record("agent")).required(),
                Field::entered("token", "bot token", InputKind::Secret).about(
                    "Telegram: the token, or BotFather’s whole message; Slack: xoxb-…; none for a \
                     webhook bridge",
                ),
                Field::entered("app_token", "app-level token", InputKind::Secret)
                    .about("Slack only: xapp-…, with the scope connections:write"),
                Field::line("name", "name").max(60).about("the bot’s own name if empty"),
                Field::entered("api_base", "API address", InputKind::Url)
                    .about("a webhook bridge’s URL, or your own server with the platform’s API"),
            ],
            // Not the address: the token goes there.
            links: &["kind", "agent", "name"],
            guide: || kit::sections(include_str!("../../docs/channels.md"), "Connect"),
            run: Run::Prepared(connect::check_new, connect::create),
            ..OP
        },
        Op {
            name: "rotate",
            effect: Effect::External,
            about: "Replace a channel's token with another one of the same bot",
            verb: "Replace token",
            done: "Token replaced for",
            input: &[
                Field::entered("token", "bot token", InputKind::Secret).required(),
                Field::entered("app_token", "app-level token", InputKind::Secret)
                    .about("Slack only"),
            ],
            run: Run::Prepared(connect::check_rotated, connect::rotate),
            ..OP
        },
        Op {
            name: "secret",
            about: "Make a new signing secret for a webhook bridge; the old one stops working",
            verb: "New signing secret",
            answers: Answers::Secret(secret_schema),
            offered: |channel| text_of(channel, "kind") == Kind::Webhook.word(),
            run: Run::Prepared(connect::make_secret, connect::give_secret),
            ..OP
        },
        Op {
            name: "allow-decisions",
            can: Can::Own,
            about: "Let people decide approvals, questions and reviews by messages of this channel",
            verb: "Change decisions",
            input: &[Field::flag("allowed", "decisions by message")
                .required()
                .about("a bridge vouches for who writes; allow it only if you trust it that far")],
            run: Run::Write(allow_decisions),
            ..OP
        },
        Op {
            name: "assign",
            about: "Choose the agent that answers where no route matches",
            verb: "Change agent",
            done: "Changed the agent of",
            input: &[Field::entered("agent", "agent", InputKind::Record("agent")).required()],
            run: Run::Write(assign),
            ..OP
        },
        Op {
            name: "remove-webhook",
            effect: Effect::External,
            about: "Remove the webhook that another program has set, so that HQ receives messages",
            verb: "Remove webhook",
            done: "Removed the webhook of",
            confirm: "Remove the webhook? The program that set it no longer receives messages.",
            offered: |channel| text_of(channel, "state") == State::Webhook.word(),
            run: Run::Prepared(connect::remove_webhook, connect::reconnect),
            ..OP
        },
        Op {
            name: "pair",
            can: Can::Chat,
            about: "Make a link that connects your own account on the messenger",
            verb: "Connect my account",
            answers: Answers::Json(link_schema),
            run: Run::Prepared(|_, _| Ok(Box::new(codes::random())), pair_link),
            ..OP
        },
        Op {
            name: "test",
            can: Can::Chat,
            effect: Effect::External,
            about: "Send a test message to your own account on the messenger",
            verb: "Send test message",
            done: "Sent a test message by",
            run: Run::Write(test_message),
            ..OP
        },
        Op {
            name: "probe",
            effect: Effect::External,
            about: "Check the connection and the bot's settings now",
            verb: "Check connection",
            answers: Answers::Json(link_schema),
            run: Run::Prepared(connect::probe, connect::probed),
            ..OP
        },
    ],
    page: page(
        "Channels",
        channel_row,
        "Its tokens and all its received and sent messages are removed.",
    ),
    ..Noun::of(&CHANNEL, "channels", "Your agents on Telegram, Discord, Slack and bridges")
};

/// The form that connects a channel of this agent, relative to the workspace.
#[must_use]
pub fn connect_path(agent: &str) -> String {
    format!("settings/channels?op=connect&agent={agent}")
}

impl Stored for Channel {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let now = tx.now();
        Self {
            id: tx.new_id(),
            by: tx.by(),
            created_at: now,
            updated_at: now,
            ..store::Record::sample()
        }
    }
    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }
    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        for id in &gone.secrets {
            let secret = tx.get::<vault::model::Secret>(*id)?;
            if secret.is_some_and(|secret| secret.removed_at.is_none()) {
                vault::rules::remove_of_channel(tx, *id).map_err(Error::of)?;
            }
        }
        Ok(())
    }
}

fn state_schema() -> Fields {
    let text = json!({ "type": "string" });
    let stamp = json!({ "type": ["string", "null"], "format": "date-time" });
    Fields::from_iter([
        ("state".to_owned(), json!({ "type": "string", "enum": State::WORDS })),
        ("detail".to_owned(), text.clone()),
        ("agent_slug".to_owned(), text.clone()),
        ("picture_path".to_owned(), text),
        ("last_in".to_owned(), stamp.clone()),
        ("last_out".to_owned(), stamp),
        ("queued".to_owned(), json!({ "type": "integer" })),
    ])
}

fn states(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(move |channel| {
        let Ok(id) = text_of(channel, "id").parse::<ChannelId>() else { return Ok(Fields::new()) };
        let state = queries::state(read, id, Timestamp::UNIX_EPOCH)?;
        let is_on = channel.get("is_enabled").and_then(Value::as_bool).unwrap_or(false);
        let state_now = if is_on { state.state } else { State::Off };
        let channel = read.get::<Channel>(id)?;
        let agent = match channel.as_ref().and_then(|channel| channel.agent) {
            Some(agent) => read.get::<Agent>(agent)?.map(|agent| agent.slug),
            None => None,
        };
        let queued = queries::open(read, id)?;
        let queued = queued.iter().filter(|one| !one.payload.is_passing()).count();
        let picture = channel.as_ref().map(crate::picture::path).unwrap_or_default();
        Ok(Fields::from_iter([
            ("state".to_owned(), json!(state_now.word())),
            ("detail".to_owned(), json!(state.detail)),
            ("agent_slug".to_owned(), json!(agent.unwrap_or_default())),
            ("picture_path".to_owned(), json!(picture)),
            ("last_in".to_owned(), json!(state.last_in.map(|at| at.to_string()))),
            ("last_out".to_owned(), json!(state.last_out.map(|at| at.to_string()))),
            ("queued".to_owned(), json!(queued)),
        ]))
    }))
}

fn channel_row(record: &Fields) -> Row {
    let word = text_of(record, "state");
    let state = State::WORDS.iter().position(|known| *known == word).map(|at| {
        let tone = match State::ALL[at] {
            State::Online => "ok",
            State::Starting => "info",
            State::Off => "",
            State::Error | State::Revoked | State::Webhook => "bad",
        };
        (State::LABELS[at], tone)
    });
    let kind = text_of(record, "kind");
    let kind =
        Kind::WORDS.iter().position(|known| *known == kind).map_or("", |at| Kind::LABELS[at]);
    let about = match (text_of(record, "detail"), text_of(record, "bot_handle")) {
        ("", "") => kind.to_owned(),
        ("", handle) => format!("{kind} · @{handle}"),
        (detail, _) => format!("{kind} · {detail}"),
    };
    let agent = text_of(record, "agent_slug");
    let mut marks = match agent {
        "" => vec![("No agent".to_owned(), String::new())],
        agent => vec![(format!("@{agent}"), format!("agents/{agent}"))],
    };
    let queued = record.get("queued").and_then(Value::as_u64).unwrap_or_default();
    if 0 < queued {
        marks.push((format!("{queued} queued"), "settings/channel-deliveries".to_owned()));
    }
    let (name, picture) = (text_of(record, "name"), text_of(record, "picture_path"));
    let (name, picture) = (name.to_owned(), picture.to_owned());
    Row { name, picture, about, state, marks, ..Row::default() }
}

fn secret_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": { "message": text, "address": text, "secret": text },
        "required": ["message", "address", "secret"],
    })
}

fn link_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "message": { "type": "string" }, "link": { "type": "string" } },
        "required": ["message"],
    })
}

/// The agent that an input names by slug, name or id.
pub(crate) fn agent_in(read: &dyn Read, text: &str) -> Result<Agent, Error> {
    let missing = || Error::field("agent", "There is no such agent.");
    let found = match text.trim().parse::<AgentId>() {
        Ok(id) => read.get::<Agent>(id)?,
        Err(_) => match agents::by_slug(read, text.trim().trim_start_matches('@'))? {
            Some(agent) => Some(agent),
            None => agents::by_name(read, text.trim())?,
        },
    };
    let found = found.filter(|agent| agent.archived_at.is_none());
    found.ok_or_else(missing)
}

fn assign(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let channel: Channel = cx.record(tx)?;
    let agent = agent_in(tx, cx.text("agent"))?;
    let now = tx.now();
    let new = Channel { agent: Some(agent.id), updated_at: now, ..channel.clone() };
    rules::change(tx, &channel, &new)?;
    Ok(Reply::record(&channel.id))
}

fn allow_decisions(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let channel: Channel = cx.record(tx)?;
    let (may_decide, updated_at) = (cx.flag("allowed"), tx.now());
    let new = Channel { may_decide, updated_at, ..channel.clone() };
    rules::change(tx, &channel, &new)?;
    Ok(Reply::record(&channel.id))
}

fn test_message(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let channel: Channel = cx.record(tx)?;
    let me = tx.by().account();
    let own = |one: &Person| one.account.is_some() && one.account == me && !one.chat.is_empty();
    let Some(person) = queries::people(tx, channel.id)?.into_iter().find(own) else {
        let message = "connect your own account first, so that the message can reach you";
        return Err(Error::new(ProblemKind::Conflict, "channel_not_paired", message));
    };
    let place = rules::Place::direct(channel.id, &person.chat);
    rules::queue(tx, &place, "This is a test message from HQ.", None)?;
    Ok(Reply::record(&channel.id))
}

fn pair_link(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, code: kit::Prepared) -> Result<Reply, Error> {
    let code = code.downcast::<String>().map(|code| *code).unwrap_or_default();
    let link = rules::link(tx, cx.id()?, &code)?;
    let message = match link.starts_with("https://") {
        true => format!("Open this link within an hour: {link}"),
        false => format!("Send this to the bot within an hour: {link}"),
    };
    Ok(Reply::json(&json!({ "message": message, "link": link })))
}

/// The channel that an input names by name or id; `None` if it is empty.
pub(crate) fn channel_in(read: &dyn Read, text: &str) -> Result<Option<ChannelId>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let key = CHANNEL.find(read, text)?;
    let id = key.and_then(|key| kernel::key::decode::<ChannelId>(&key));
    id.map(Some).ok_or_else(|| Error::field("channel", "There is no such channel."))
}

fn title_or(record: &Fields, key: &str, otherwise: &str) -> String {
    match text_of(record, key) {
        "" => otherwise.to_owned(),
        title => title.to_owned(),
    }
}
