//! Slack's events as [`Incoming`].

use kernel::time::{Clock, SystemClock};
use serde_json::Value;

use super::super::api::{list, moment, some, text};
use super::super::{FileRef, Incoming, Message, Place, Press, Sender};
use super::{KnownPress, Me, Slack};

/// Messages that people or bots wrote; the others report joins, topics and the like.
const WRITTEN: [&str; 5] = ["", "file_share", "thread_broadcast", "me_message", "bot_message"];
const MAX_MENTIONS: usize = 10;

/// A message of `channel`; `None` if it has no author or is from the bot itself.
pub(super) async fn message(bot: &Slack, me: &Me, channel: &str, event: &Value) -> Option<Message> {
    let (ts, user) = (text(event, "/ts"), text(event, "/user"));
    let bot_id = text(event, "/bot_id");
    let is_own = user == me.user || (!bot_id.is_empty() && bot_id == me.bot);
    if ts.is_empty() || is_own || !WRITTEN.contains(&text(event, "/subtype")) {
        return None;
    }
    let mut sender = bot.person(user).await;
    if !bot_id.is_empty() {
        sender.is_bot = true;
        if user.is_empty() {
            let name = some(event, "/username").unwrap_or_else(|| bot_id.to_owned());
            sender = Sender { id: bot_id.to_owned(), name, handle: String::new(), is_bot: true };
        }
    }
    let is_direct = is_direct(channel, text(event, "/channel_type"));
    let thread = thread(event);
    let words = text(event, "/text");
    let is_mention = text(event, "/type") == "app_mention"
        || words.contains(&format!("<@{}", me.user))
        || text(event, "/parent_user_id") == me.user;
    Some(Message {
        id: ts.to_owned(),
        // Slack's only form of a reply is one in the thread of a message. In a room, it may be meant for others.
        reply_to: thread.clone().filter(|_| is_direct),
        place: Place { chat: channel.to_owned(), thread },
        title: if is_direct { String::new() } else { bot.title(channel).await },
        is_direct,
        sender,
        text: plain(bot, me, words).await,
        mentions_bot: is_mention,
        files: list(event, "/files").iter().map(file).collect(),
        sent_at: moment(millis(ts)),
    })
}

/// The thread of a message that is not its first one.
pub(super) fn thread(event: &Value) -> Option<String> {
    some(event, "/thread_ts").filter(|thread| thread != text(event, "/ts"))
}

pub(super) fn press(bot: &Slack, payload: &Value) -> Option<Incoming> {
    let action = list(payload, "/actions").first()?;
    let message = text(payload, "/container/message_ts");
    let thread = some(payload, "/container/thread_ts").or(some(payload, "/message/thread_ts"));
    let thread = thread.filter(|thread| thread != message);
    let user = text(payload, "/user/id");
    let id =
        some(payload, "/trigger_id").unwrap_or(format!("{}-{user}", text(action, "/action_ts")));
    let mut presses = bot.presses.lock();
    if super::MAX_PRESSES <= presses.len() {
        presses.pop_front();
    }
    presses.push_back(KnownPress { id: id.clone(), user: user.to_owned(), thread: thread.clone() });
    let handle = some(payload, "/user/username").unwrap_or_default();
    Some(Incoming::Press(Press {
        id,
        place: Place { chat: text(payload, "/channel/id").to_owned(), thread },
        message: message.to_owned(),
        sender: Sender {
            id: user.to_owned(),
            name: some(payload, "/user/name").unwrap_or_else(|| handle.clone()),
            handle,
            is_bot: false,
        },
        data: text(action, "/value").to_owned(),
    }))
}

/// A slash command, as if it was written: `/hq status` and `/status` are `/status`.
pub(super) async fn command(bot: &Slack, payload: &Value) -> Incoming {
    let words = text(payload, "/text").trim();
    let written = match (text(payload, "/command"), words) {
        ("/hq", "") => "/help".to_owned(),
        ("/hq", words) => format!("/{words}"),
        (command, words) => format!("{command} {words}"),
    };
    let channel = text(payload, "/channel_id");
    let is_direct = is_direct(channel, "");
    Incoming::Message(Message {
        id: text(payload, "/trigger_id").to_owned(),
        place: Place { chat: channel.to_owned(), thread: None },
        title: if is_direct { String::new() } else { bot.title(channel).await },
        is_direct,
        sender: bot.person(text(payload, "/user_id")).await,
        text: written.trim_end().to_owned(),
        mentions_bot: true,
        reply_to: None,
        files: Vec::new(),
        // Commands have no time stamp.
        sent_at: SystemClock.now(),
    })
}

/// A person as `users.info` describes them.
pub(super) fn person(id: &str, body: &Value) -> Sender {
    let handle = text(body, "/user/name").to_owned();
    let names = ["/user/profile/display_name", "/user/profile/real_name", "/user/real_name"];
    let name = names.into_iter().find_map(|pointer| some(body, pointer));
    Sender {
        id: id.to_owned(),
        name: name
            .unwrap_or_else(|| if handle.is_empty() { id.to_owned() } else { handle.clone() }),
        handle,
        is_bot: body.pointer("/user/is_bot").and_then(Value::as_bool).unwrap_or_default(),
    }
}

fn is_direct(channel: &str, kind: &str) -> bool {
    kind == "im" || (kind.is_empty() && channel.starts_with('D'))
}

fn file(file: &Value) -> FileRef {
    let is_voice = text(file, "/subtype") == "slack_audio";
    let millis = file.get("duration_ms").and_then(Value::as_u64).filter(|_| is_voice);
    FileRef {
        id: some(file, "/url_private_download").or(some(file, "/url_private")).unwrap_or_default(),
        name: text(file, "/name").to_owned(),
        media_type: text(file, "/mimetype").to_owned(),
        len: file.get("size").and_then(Value::as_u64),
        voice_secs: millis.and_then(|millis| u32::try_from(millis.div_ceil(1000)).ok()),
    }
}

/// Milliseconds of a time stamp such as `1700000000.000100`.
fn millis(ts: &str) -> i64 {
    let (secs, micros) = ts.split_once('.').unwrap_or((ts, "0"));
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    number(secs).saturating_mul(1000).saturating_add(number(micros) / 1000)
}

/// Slack's markup as plain text: names instead of ids, addresses beside their labels.
async fn plain(bot: &Slack, me: &Me, markup: &str) -> String {
    let mut out = String::new();
    let mut rest = markup;
    let mut mentions = 0;
    while let Some((before, (inner, after))) =
        rest.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
    {
        out.push_str(before);
        rest = after;
        let (target, label) = inner.split_once('|').unwrap_or((inner, ""));
        match (target.get(..1).unwrap_or_default(), target.get(1..).unwrap_or_default()) {
            ("@", id) if id == me.user => out.push_str(&format!("@{}", me.handle)),
            ("@", id) => {
                mentions += 1;
                let name = match mentions <= MAX_MENTIONS {
                    true => bot.person(id).await.name,
                    false => id.to_owned(),
                };
                out.push_str(&format!("@{name}"));
            }
            ("#", id) => out.push_str(&format!("#{}", if label.is_empty() { id } else { label })),
            ("!", word) => {
                out.push_str(&format!("@{}", if label.is_empty() { word } else { label }))
            }
            _ if label.is_empty() || target.ends_with(label) => out.push_str(target),
            _ => out.push_str(&format!("{label} ({target})")),
        }
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
