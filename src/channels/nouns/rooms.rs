//! Rooms and routes.

use entity::{Area, Entity, Field, Fields, InputKind, Meaning, Stored, text_of};
use kernel::key::KeyBuf;
use kernel::{Can, Error};
use kit::{Acts, Answers, Noun, On, Op, OpCx, Reply, Row, Run};
use serde_json::{Value, json};
use store::{ReadExt as _, WriteTx};
use tool::Effect;

use crate::model::{BY_PLACE, ChannelRouteId, Room, Route};
use crate::{queries, rules};

use super::{OP, agent_in, channel_in, link_schema, page, title_or};

pub static ROOM: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("chat", "id at the messenger"),
        Field::text("title", "title").called("title"),
        Field::flag("is_allowed", "agents may answer")
            .about("when someone mentions the bot or replies to it"),
        Field::text("is_present", "bot is in the room"),
        Field::count("budget_micros", "daily budget in millionths of a dollar", 0, 1_000_000_000),
        Field::stamp("created_at", "created"),
    ],
    title: |record| title_or(record, "title", "Room"),
    path: |_| "settings/channel-rooms".to_owned(),
    undo: None,
    triggers: Some("Channels"),
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
        Field::text("room", "room ID"),
        Field::text("thread", "thread ID"),
        Field::text("sender", "sender ID"),
        Field::text("agent", "agent").means(Meaning::Somebody),
        Field::stamp("created_at", "created"),
    ],
    title: |record| route_title(record),
    path: |_| "settings/channel-routes".to_owned(),
    undo: None,
    triggers: Some("Channels"),
    missing: "channel_route_not_found",
    ..Entity::stored::<Route>("channel-route", "route", "routes")
};

const FROM: [Field; 4] = [
    Field::entered("channel", "channel", InputKind::Record("channel"))
        .about("all channels if none is chosen"),
    Field::line("room", "room ID").max(100),
    Field::line("thread", "thread ID").max(100),
    Field::line("sender", "sender ID").max(100),
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
            effect: Effect::Read,
            about: "Show who would answer a message",
            verb: "Test routes",
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
