//! Channels on the kit: descriptors, field tables and the definition of each act.

use entity::{Area, Entity, Field, Fields, InputKind, Meaning, Stored, Type, Values, text_of};
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::tasks::queries::people::People;
use kernel::key::KeyBuf;
use kernel::{AgentId, Assignee, Can, ChannelId, Error, Timestamp};
use kit::{Acts, Answers, Extra, ExtraOf, Noun, On, Op, OpCx, Page, Reply, Row, Run, Tools};
use serde_json::{Value, json};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use tool::Effect;

use crate::connect;
use crate::model::{
    Access, BY_PLACE, Channel, ChannelRouteId, ChannelState, Delivery, DeliveryState, Kind,
    Message, MessageState, Person, Room, Route, State,
};
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
    Some(Page { title, row, live: state_topic, delete, tabs: TABS })
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
        Field::text("by", "by").hidden().internal(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/channels".to_owned(),
    undo: Some(Can::Admin),
    react: Some(rules::react),
    rests: Some(rules::rests),
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
                Field::choice("kind", "messenger", Kind::WORDS, Kind::LABELS).required(),
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
            run: Run::Prepared(connect::make_secret, connect::give_secret),
            ..OP
        },
        Op {
            name: "allow-decisions",
            can: Can::Own,
            about: "Let people decide approvals, questions and reviews by messages of this channel",
            verb: "Decisions",
            input: &[Field::flag("allowed", "decisions by message")
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
            name: "pair",
            can: Can::Chat,
            about: "Make a link that connects your own account on the messenger",
            verb: "Connect my account",
            answers: Answers::Json(link_schema),
            run: Run::Prepared(|_, _| Ok(Box::new(codes::random())), pair_link),
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
    page: page("Channels", channel_row, "Its tokens are removed. Received messages are forgotten."),
    ..Noun::of(&CHANNEL, "channels", "Your agents on Telegram, Discord, Slack and bridges")
};

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
        ("agent_slug".to_owned(), text),
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
        let agent = match read.get::<Channel>(id)?.and_then(|channel| channel.agent) {
            Some(agent) => read.get::<Agent>(agent)?.map(|agent| agent.slug),
            None => None,
        };
        Ok(Fields::from_iter([
            ("state".to_owned(), json!(state_now.word())),
            ("detail".to_owned(), json!(state.detail)),
            ("agent_slug".to_owned(), json!(agent.unwrap_or_default())),
            ("last_in".to_owned(), json!(state.last_in.map(|at| at.to_string()))),
            ("last_out".to_owned(), json!(state.last_out.map(|at| at.to_string()))),
            ("queued".to_owned(), json!(queries::open(read, id)?.len())),
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
            State::Error | State::Revoked => "bad",
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
    let marks = match agent {
        "" => vec![("No agent".to_owned(), String::new())],
        agent => vec![(format!("@{agent}"), format!("agents/{agent}"))],
    };
    Row { name: text_of(record, "name").to_owned(), about, state, marks, ..Row::default() }
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

fn pair_link(cx: &OpCx<'_>, tx: &mut WriteTx<'_>, code: kit::Prepared) -> Result<Reply, Error> {
    let code = code.downcast::<String>().map(|code| *code).unwrap_or_default();
    let link = rules::link(tx, cx.id()?, &code)?;
    let message = match link.starts_with("https://") {
        true => format!("Open this link within an hour: {link}"),
        false => format!("Send this to the bot within an hour: {link}"),
    };
    Ok(Reply::json(&json!({ "message": message, "link": link })))
}

pub static PERSON: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("sender", "id at the messenger"),
        Field::text("name", "name").called("title"),
        Field::text("handle", "user name"),
        Field::text("access", "access"),
        Field::text("account", "member").means(Meaning::Somebody),
        Field::text("chat", "chat").hidden().internal(),
        Field::text("code_hash", "code").hidden().internal(),
        Field::text("guesses", "guesses").hidden().internal(),
        Field::stamp("code_expires_at", "code valid until").optional(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/channel-people".to_owned(),
    undo: Some(Can::Admin),
    missing: "channel_person_not_found",
    ..Entity::stored::<Person>("channel-person", "person on a channel", "people on channels")
};

const AS: Field = Field::line("as", "as")
    .required()
    .about("guest, or the handle of the member who this person is");

pub static PEOPLE: Noun = Noun {
    acts: Acts { create: false, change: false, delete: true },
    write: Can::Admin,
    param: "person",
    ops: &[
        Op {
            name: "approve",
            about: "Let a person write to the channel, as a guest or as a member",
            verb: "Approve",
            done: "Approved",
            input: &[AS],
            run: Run::Write(|cx, tx| approve(cx, tx, cx.id()?)),
            ..OP
        },
        Op {
            name: "deny",
            about: "Refuse a request, or block a person",
            verb: "Deny",
            done: "Denied",
            run: Run::Write(|cx, tx| Ok(Reply::record(&rules::deny(tx, cx.id()?)?.id))),
            ..OP
        },
        Op {
            name: "approve-code",
            on: On::All,
            about: "Approve the person who has this pairing code",
            verb: "Approve code",
            done: "Approved",
            input: &[Field::line("code", "pairing code").required().max(20), AS],
            run: Run::Write(approve_code),
            ..OP
        },
    ],
    page: page("People", person_row, "The person becomes a stranger and needs a new code."),
    ..Noun::of(&PERSON, "channel-people", "Who may write to your agents, and who asks to")
};

impl Stored for Person {
    fn blank(_: &mut WriteTx<'_>) -> Self {
        store::Record::sample()
    }
}

fn approve(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    id: crate::model::ChannelPersonId,
) -> Result<Reply, Error> {
    let account = match cx.text("as").trim() {
        text if text.eq_ignore_ascii_case("guest") => None,
        text => {
            let people = People::read(tx)?;
            let me = tx.by().account().map(Assignee::Person);
            let found = me.and_then(|me| people.find(text, me).ok().flatten());
            match found {
                Some(Assignee::Person(account)) => Some(account),
                _ => return Err(Error::field("as", "Enter guest or the handle of a member.")),
            }
        }
    };
    Ok(Reply::record(&rules::approve(tx, id, account)?.id))
}

fn approve_code(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let hash = codes::hash(cx.text("code"));
    let now = tx.now();
    for channel in queries::all(tx)? {
        let people = queries::people(tx, channel.id)?;
        let asked = people.iter().find(|one| one.is_open_request(now) && one.code_hash == hash);
        if let Some(person) = asked {
            return approve(cx, tx, person.id);
        }
    }
    Err(Error::field("code", "No open request has this code. Codes are valid for an hour."))
}

fn person_row(record: &Fields) -> Row {
    let access = text_of(record, "access");
    let at = Access::WORDS.iter().position(|known| *known == access);
    let tone = match at.map(|at| Access::ALL[at]) {
        Some(Access::Requested) => "warn",
        Some(Access::Denied) => "bad",
        _ => "",
    };
    let handle = text_of(record, "handle");
    Row {
        name: text_of(record, "name").to_owned(),
        about: if handle.is_empty() { String::new() } else { format!("@{handle}") },
        state: at.map(|at| (Access::LABELS[at], tone)),
        ..Row::default()
    }
}

pub static ROOM: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("chat", "id at the messenger"),
        Field::text("title", "title").called("title"),
        Field::flag("is_allowed", "agents may answer")
            .about("when somebody mentions the bot or replies to it"),
        Field::text("is_present", "bot is in the room"),
        Field::count("budget_micros", "daily budget in millionths of a dollar", 0, 1_000_000_000),
        Field::stamp("created_at", "created"),
    ],
    title: |record| title_or(record, "title", "Room"),
    path: |_| "settings/channel-rooms".to_owned(),
    undo: Some(Can::Admin),
    missing: "channel_room_not_found",
    ..Entity::stored::<Room>("channel-room", "room", "rooms")
};

pub static ROOMS: Noun = Noun {
    acts: Acts { create: false, ..Acts::ALL },
    write: Can::Admin,
    param: "room",
    page: page("Rooms", room_row, "The room appears again with its next message."),
    ..Noun::of(&ROOM, "channel-rooms", "Groups and server channels that your bots are in")
};

impl Stored for Room {
    fn blank(_: &mut WriteTx<'_>) -> Self {
        store::Record::sample()
    }
}

fn title_or(record: &Fields, key: &str, otherwise: &str) -> String {
    match text_of(record, key) {
        "" => otherwise.to_owned(),
        title => title.to_owned(),
    }
}

fn room_row(record: &Fields) -> Row {
    let is = |key: &str| record.get(key).and_then(Value::as_bool).unwrap_or(false);
    let state = match (is("is_present"), is("is_allowed")) {
        (false, _) => ("Bot removed", "bad"),
        (true, true) => ("Allowed", "ok"),
        (true, false) => ("Not allowed", ""),
    };
    Row { name: title_or(record, "title", "Room"), state: Some(state), ..Row::default() }
}

pub static ROUTE: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("room", "room's id"),
        Field::text("thread", "thread's id"),
        Field::text("sender", "sender's id"),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::stamp("created_at", "created"),
    ],
    title: |record| route_title(record),
    path: |_| "settings/channel-routes".to_owned(),
    undo: Some(Can::Admin),
    missing: "channel_route_not_found",
    ..Entity::stored::<Route>("channel-route", "route", "routes")
};

const FROM: [Field; 4] = [
    Field::entered("channel", "channel", InputKind::Record("channel")).about("empty: all channels"),
    Field::line("room", "room’s id").max(100),
    Field::line("thread", "thread’s id").max(100),
    Field::line("sender", "sender’s id").max(100),
];

pub static ROUTES: Noun = Noun {
    acts: Acts { create: false, change: false, delete: true },
    write: Can::Admin,
    param: "route",
    ops: &[
        Op {
            name: "bind",
            on: On::All,
            about: "Let an agent answer in a channel, room or thread, or to a sender",
            verb: "Add route",
            done: "Saved the route",
            input: &[
                Field::entered("agent", "agent", InputKind::Record("agent")).required(),
                FROM[0],
                FROM[1],
                FROM[2],
                FROM[3],
            ],
            run: Run::Write(bind),
            ..OP
        },
        Op {
            name: "test",
            on: On::All,
            can: Can::Read,
            effect: Effect::Read,
            about: "Show who would answer a message",
            verb: "Test",
            input: &[
                Field::entered("channel", "channel", InputKind::Record("channel")).required(),
                FROM[1],
                FROM[2],
                FROM[3],
            ],
            answers: Answers::Json(link_schema),
            run: Run::Write(test_route),
            ..OP
        },
    ],
    page: page("Routes", route_row, "New conversations go to the next route that matches."),
    ..Noun::of(&ROUTE, "channel-routes", "Which agent answers where")
};

impl Stored for Route {
    fn blank(_: &mut WriteTx<'_>) -> Self {
        store::Record::sample()
    }
}

fn route_title(record: &Fields) -> String {
    let part = |key: &str| match text_of(record, key) {
        "" => None,
        value => Some(format!("{key} {value}")),
    };
    let parts: Vec<String> = ["sender", "thread", "room"].into_iter().filter_map(part).collect();
    match (parts.is_empty(), text_of(record, "channel")) {
        (false, _) => parts.join(", "),
        (true, "") => "All channels".to_owned(),
        (true, _) => "Whole channel".to_owned(),
    }
}

fn route_row(record: &Fields) -> Row {
    Row { name: route_title(record), ..Row::default() }
}

/// The channel that an input names by name or id; `None` if it is empty.
fn channel_in(read: &dyn Read, text: &str) -> Result<Option<ChannelId>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let key = CHANNEL.find(read, text)?;
    let id = key.and_then(|key| kernel::key::decode::<ChannelId>(&key));
    id.map(Some).ok_or_else(|| Error::field("channel", "There is no such channel."))
}

fn bind(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let agent = agent_in(tx, cx.text("agent"))?;
    let text = |key: &str| cx.text(key).trim().to_owned();
    let new = Route {
        id: tx.new_id::<ChannelRouteId>(),
        channel: channel_in(tx, cx.text("channel"))?,
        room: text("room"),
        thread: text("thread"),
        sender: text("sender"),
        agent: Some(agent.id),
        created_at: tx.now(),
    };
    let mut key = KeyBuf::new();
    match new.channel {
        Some(channel) => key.u8(1).part(channel),
        None => key.u8(0),
    };
    key.text(&new.room).text(&new.thread).text(&new.sender);
    let old: Option<Route> = tx.find(BY_PLACE, &key)?;
    let id = rules::save_route(tx, old, new)?;
    Ok(Reply::record(&id))
}

fn test_route(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let channel = channel_in(tx, cx.text("channel"))?;
    let channel = channel.ok_or_else(|| Error::field("channel", "Choose a channel."))?;
    let some = |key: &'static str| Some(cx.text(key).trim()).filter(|text| !text.is_empty());
    let origin = queries::Origin {
        channel,
        room: some("room"),
        thread: some("thread"),
        sender: cx.text("sender").trim(),
    };
    let message = match queries::route(tx, origin)? {
        Some((agent, rule)) => format!("{} would answer ({rule}).", agent.name),
        None => "No agent would answer.".to_owned(),
    };
    Ok(Reply::json(&json!({ "message": message })))
}

pub static MESSAGE: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    // The text is left out: direct chats are private.
    fields: &[
        Field::text("channel", "channel"),
        Field::text("sender_name", "sender").called("title"),
        Field::text("state", "state"),
        Field::text("verdict", "decision"),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::stamp("sent_at", "sent"),
        Field::stamp("received_at", "received"),
    ],
    title: |record| title_or(record, "sender_name", "Message"),
    path: |_| "settings/channel-messages".to_owned(),
    undo: None,
    missing: "channel_message_not_found",
    ..Entity::of::<Message>("channel-message", "received message", "received messages")
};

pub static MESSAGES: Noun = Noun {
    acts: Acts::NONE,
    write: Can::Admin,
    param: "message",
    select: Some(kit::Select { params: &[], keys: newest::<Message> }),
    ops: &[Op {
        name: "answer",
        about: "Answer a message that arrived too late",
        verb: "Answer now",
        done: "Passed on the message of",
        run: Run::Write(|cx, tx| Ok(Reply::record(&rules::answer_now(tx, cx.id()?)?.id))),
        ..OP
    }],
    page: page("Received", message_row, ""),
    ..Noun::of(&MESSAGE, "channel-messages", "The last 200 messages, and what happened to each")
};

fn message_row(record: &Fields) -> Row {
    let at = MessageState::WORDS.iter().position(|known| *known == text_of(record, "state"));
    let tone = match at.map(|at| MessageState::ALL[at]) {
        Some(MessageState::Passed) => "ok",
        Some(MessageState::Held) => "warn",
        _ => "",
    };
    Row {
        name: title_or(record, "sender_name", "Message"),
        about: kernel::text::capitalized(text_of(record, "verdict")),
        state: at.map(|at| (MessageState::LABELS[at], tone)),
        ..Row::default()
    }
}

/// The newest 200 records.
fn newest<R: store::Record>(read: &dyn Read, _: &Values) -> Result<Vec<Vec<u8>>, Error> {
    let all: Vec<R> = read.list(&store::Range::all().reverse().limit(200))?;
    Ok(all.iter().map(|one| KeyBuf::of(&one.id()).into_bytes()).collect())
}

pub static DELIVERY: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("state", "state"),
        Field::text("detail", "reason"),
        Field::text("run", "run").hidden(),
        Field::text("part", "part"),
        Field::text("parts", "parts"),
        Field::text("attempts", "attempts"),
        Field::stamp("created_at", "created"),
        Field::stamp("sent_at", "sent").optional(),
    ],
    title: |_| "Message".to_owned(),
    path: |_| "settings/channel-deliveries".to_owned(),
    undo: None,
    missing: "delivery_not_found",
    ..Entity::of::<Delivery>("channel-delivery", "delivery", "deliveries")
};

pub static DELIVERIES: Noun = Noun {
    acts: Acts::NONE,
    write: Can::Admin,
    param: "delivery",
    select: Some(kit::Select { params: &[], keys: newest::<Delivery> }),
    ops: &[
        Op {
            name: "resend",
            effect: Effect::External,
            about: "Send a message again that did not arrive",
            verb: "Send again",
            done: "Queued",
            run: Run::Write(|cx, tx| {
                rules::resend(tx, cx.id()?)?;
                Ok(Reply::Record(cx.key()?.to_vec()))
            }),
            ..OP
        },
        Op {
            name: "dismiss",
            about: "Give up a message that did not arrive",
            verb: "Dismiss",
            done: "Dismissed",
            run: Run::Write(|cx, tx| {
                rules::dismiss(tx, cx.id()?)?;
                Ok(Reply::Record(cx.key()?.to_vec()))
            }),
            ..OP
        },
    ],
    tools: Tools::NONE,
    page: page("Sent", delivery_row, ""),
    ..Noun::of(&DELIVERY, "channel-deliveries", "The last 200 messages of your agents")
};

fn delivery_row(record: &Fields) -> Row {
    let at = DeliveryState::WORDS.iter().position(|known| *known == text_of(record, "state"));
    let tone = match at.map(|at| DeliveryState::ALL[at]) {
        Some(DeliveryState::Sent) => "ok",
        Some(DeliveryState::Failed | DeliveryState::Expired) => "bad",
        Some(DeliveryState::Unknown) => "warn",
        _ => "",
    };
    let number = |key: &str| record.get(key).and_then(Value::as_i64).unwrap_or(1);
    let name = match number("parts") {
        1 => "Message".to_owned(),
        parts => format!("Part {} of {parts}", number("part")),
    };
    let about = text_of(record, "detail").to_owned();
    Row { name, about, state: at.map(|at| (DeliveryState::LABELS[at], tone)), ..Row::default() }
}
