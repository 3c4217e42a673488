//! Discord's gateway: one connection that is resumed if possible. Otherwise, missed messages are fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use net::message::{Method, Timeouts};
use net::ws::{self, Frame, Socket};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::api::{self, list, net_fault, text};
use super::super::{Batch, Fault, FaultKind, Inbox, Incoming, Place};
use super::{Discord, EPHEMERAL, NAME, events, revoked};

/// Servers, messages in servers, direct messages, text of messages.
const INTENTS: u64 = (1 << 0) | (1 << 9) | (1 << 12) | (1 << 15);
const MAX_CHANNELS: usize = 200;
/// Pages of 100 messages that are fetched for a channel after downtime.
const MAX_PAGES: u64 = 2;
const MAX_BATCH: usize = 50;
/// Connections in a row without a welcome.
const MAX_FAILURES: u32 = 3;
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// After this time, Discord shows the presser an error.
const ACK: Timeouts = Timeouts {
    headers: Duration::from_secs(3),
    idle: Duration::from_secs(3),
    total: Some(Duration::from_secs(3)),
};
/// Ends the connection, but not the session.
const KEEP_SESSION: u16 = 4000;
const LOST: &str = "the connection to Discord was lost; HQ connects again";

/// How a connection ended without a fault.
enum End {
    Resume,
    /// The session is over.
    Identify,
    /// The same, and Discord asks for a pause.
    IdentifyLater,
}

/// Position in the stream of events.
#[derive(Debug, Default)]
struct Cursor {
    session: String,
    resume_url: String,
    seq: u64,
    /// Newest message of each channel.
    last: BTreeMap<String, u64>,
    /// By channel.
    gaps: BTreeMap<String, Gap>,
}

/// Missed messages of a channel.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    /// They start after this one.
    after: u64,
    /// Pages of them that were fetched.
    pages: u64,
}

impl Cursor {
    fn parse(text: &str) -> Cursor {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let map = |name: &str| value.get(name).and_then(Value::as_object).into_iter().flatten();
        let last = map("last").filter_map(|(channel, id)| Some((channel.clone(), id.as_u64()?)));
        let gaps = map("gaps").map(|(channel, gap)| {
            let (after, pages) = (events::number(gap, "/after"), events::number(gap, "/pages"));
            (channel.clone(), Gap { after, pages })
        });
        Cursor {
            session: api::text(&value, "/session_id").to_owned(),
            resume_url: api::text(&value, "/resume_url").to_owned(),
            seq: events::number(&value, "/seq"),
            last: last.collect(),
            gaps: gaps.collect(),
        }
    }

    fn write(&self) -> String {
        let gap = |gap: &Gap| json!({"after": gap.after, "pages": gap.pages});
        let gaps = self.gaps.iter().map(|(channel, one)| (channel.clone(), gap(one)));
        json!({
            "session_id": self.session, "resume_url": self.resume_url, "seq": self.seq,
            "last": self.last, "gaps": gaps.collect::<Map<String, Value>>(),
        })
        .to_string()
    }

    fn saw(&mut self, channel: &str, id: u64) {
        let last = self.last.entry(channel.to_owned()).or_default();
        *last = id.max(*last);
        if MAX_CHANNELS < self.last.len() {
            let oldest =
                self.last.iter().min_by_key(|(_, id)| **id).map(|(channel, _)| channel.clone());
            self.last.remove(&oldest.unwrap_or_default());
        }
    }

    /// Gives up the session: all later messages have to be fetched.
    fn forget_session(&mut self) {
        self.session.clear();
        self.seq = 0;
        for (channel, id) in &self.last {
            self.gaps.entry(channel.clone()).or_insert(Gap { after: *id, pages: 0 });
        }
    }
}

pub(super) async fn listen(bot: &Discord, inbox: &dyn Inbox, cursor: String) -> Result<(), Fault> {
    let mut cursor = Cursor::parse(&cursor);
    if cursor.session.is_empty() {
        cursor.forget_session();
    }
    let me = bot.me().await?.to_owned();
    let mut failures = 0;
    loop {
        let mut session = Session {
            bot,
            inbox,
            cursor: &mut cursor,
            me: &me,
            events: Vec::new(),
            is_moved: false,
            is_welcome: false,
            fill_at: Instant::now(),
        };
        let end = session.run().await?;
        failures = if session.is_welcome { 0 } else { failures + 1 };
        if MAX_FAILURES <= failures {
            return Err(lost());
        }
        if !matches!(end, End::Resume) {
            cursor.forget_session();
            let batch = Batch { events: Vec::new(), cursor: Some(cursor.write()) };
            inbox.receive(batch).await?;
        }
        match end {
            End::IdentifyLater => sleep(Duration::from_secs_f64(1.0 + 4.0 * api::jitter())).await,
            End::Resume | End::Identify if 0 < failures => sleep(Duration::from_secs(1)).await,
            End::Resume | End::Identify => {}
        }
    }
}

/// One connection.
struct Session<'a> {
    bot: &'a Discord,
    inbox: &'a dyn Inbox,
    cursor: &'a mut Cursor,
    me: &'a str,
    events: Vec<Incoming>,
    /// Whether the cursor has to be stored even without events.
    is_moved: bool,
    is_welcome: bool,
    fill_at: Instant,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<End, Fault> {
        let mut socket = self.connect().await?;
        let every = match timeout(HELLO_TIMEOUT, self.hello(&mut socket)).await {
            Ok(every) => every?,
            Err(_) => return Err(lost()),
        };
        let mut beat_at = Instant::now() + every.mul_f64(api::jitter());
        let mut is_answered = true;
        loop {
            if MAX_BATCH <= self.events.len() {
                self.flush().await?;
                // A flood must not delay heartbeats.
                if beat_at <= Instant::now() {
                    beat_at = Instant::now() + every;
                    self.beat(&mut socket).await?;
                }
            }
            let has_work = !self.events.is_empty() || self.is_moved;
            let has_gaps = self.is_welcome && !self.cursor.gaps.is_empty();
            let frame = tokio::select! {
                biased;
                // First, because the answer to a heartbeat may already be there.
                frame = socket.next() => frame,
                () = sleep_until(beat_at) => {
                    if !is_answered {
                        socket.close(KEEP_SESSION).await;
                        return Err(lost());
                    }
                    is_answered = false;
                    beat_at = Instant::now() + every;
                    self.beat(&mut socket).await?;
                    continue;
                }
                () = std::future::ready(()), if has_work => {
                    self.flush().await?;
                    continue;
                }
                () = sleep_until(self.fill_at), if has_gaps => {
                    self.fill_first().await?;
                    continue;
                }
            };
            let frame: Value = match frame {
                Some(Ok(Frame::Text(frame))) => serde_json::from_str(&frame).unwrap_or_default(),
                Some(Ok(Frame::Close { code, .. })) => {
                    self.flush().await?;
                    return closed(code);
                }
                Some(Err(err)) => {
                    self.flush().await?;
                    return Err(net_fault(&err, NAME, false));
                }
                None => {
                    self.flush().await?;
                    return Err(lost());
                }
            };
            match frame.get("op").and_then(Value::as_u64) {
                Some(0) => self.dispatch(&frame).await?,
                Some(1) => self.beat(&mut socket).await?,
                Some(7) => {
                    self.flush().await?;
                    socket.close(KEEP_SESSION).await;
                    return Ok(End::Resume);
                }
                Some(9) => {
                    self.flush().await?;
                    socket.close(KEEP_SESSION).await;
                    let may_resume = frame.get("d").and_then(Value::as_bool).unwrap_or_default();
                    return Ok(if may_resume { End::Resume } else { End::IdentifyLater });
                }
                Some(11) => is_answered = true,
                _ => {}
            }
        }
    }

    async fn connect(&self) -> Result<Socket, Fault> {
        let url = if self.cursor.session.is_empty() {
            let found = self.bot.get("/gateway/bot").await?;
            let limit = "/session_start_limit";
            if found.pointer(&format!("{limit}/remaining")).and_then(Value::as_u64) == Some(0) {
                let wait = events::number(&found, &format!("{limit}/reset_after"));
                let detail = "Discord allows the bot no more connections today; HQ waits";
                let fault = Fault::new(FaultKind::Transient, detail);
                return Err(fault.retry_after(Some(Duration::from_millis(wait))));
            }
            text(&found, "/url").to_owned()
        } else {
            self.cursor.resume_url.clone()
        };
        // The token is sent to this host.
        let host = url.trim_end_matches('/').strip_prefix("wss://").unwrap_or_default();
        if self.bot.is_official && !host.ends_with(".discord.gg") {
            return Err(lost());
        }
        let url = format!("{}/?v=10&encoding=json", url.trim_end_matches('/'));
        let socket = ws::connect(&self.bot.client, &url, ws::MAX_MESSAGE).await;
        socket.map_err(|err| net_fault(&err, NAME, false))
    }

    /// Introduces the bot. Returns the time between heartbeats.
    async fn hello(&mut self, socket: &mut Socket) -> Result<Duration, Fault> {
        let hello: Value = match socket.next().await {
            Some(Ok(Frame::Text(frame))) => serde_json::from_str(&frame).unwrap_or_default(),
            Some(Ok(Frame::Close { code, .. })) => {
                return Err(closed(code).err().unwrap_or_else(lost));
            }
            Some(Err(_)) | None => return Err(lost()),
        };
        let token = self.bot.auth.trim_start_matches("Bot ");
        let greeting = if self.cursor.session.is_empty() {
            json!({"op": 2, "d": {
                "token": token, "intents": INTENTS,
                "properties": {"os": "linux", "browser": "hq", "device": "hq"},
            }})
        } else {
            json!({"op": 6, "d": {
                "token": token, "session_id": self.cursor.session, "seq": self.cursor.seq,
            }})
        };
        self.post(socket, &greeting).await?;
        let millis = events::number(&hello, "/d/heartbeat_interval").clamp(100, 120_000);
        Ok(Duration::from_millis(millis))
    }

    async fn beat(&self, socket: &mut Socket) -> Result<(), Fault> {
        let seq = Some(self.cursor.seq).filter(|seq| 0 < *seq);
        self.post(socket, &json!({"op": 1, "d": seq})).await
    }

    async fn post(&self, socket: &mut Socket, value: &Value) -> Result<(), Fault> {
        let sent = socket.send_text(value.to_string()).await;
        sent.map_err(|err| net_fault(&err, NAME, false))
    }

    async fn dispatch(&mut self, frame: &Value) -> Result<(), Fault> {
        let data = frame.get("d").unwrap_or(&Value::Null);
        match text(frame, "/t") {
            "READY" => {
                self.cursor.session = text(data, "/session_id").to_owned();
                self.cursor.resume_url = text(data, "/resume_gateway_url").to_owned();
                self.is_moved = true;
                self.welcome();
            }
            "RESUMED" => self.welcome(),
            "GUILD_CREATE" => self.joined(data),
            "GUILD_DELETE" if data.get("unavailable").is_none() => self.left(text(data, "/id")),
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                let guild = text(data, "/guild_id");
                let server = self.bot.guild_name(guild).await?;
                self.bot.remember(data, guild, &server);
            }
            "MESSAGE_CREATE" => self.message(data, false).await?,
            // Previews of links are updates as well.
            "MESSAGE_UPDATE" if data.get("edited_timestamp").is_some_and(Value::is_string) => {
                self.message(data, true).await?;
            }
            "INTERACTION_CREATE" => self.interaction(data).await?,
            _ => {}
        }
        // Only now, so that a fault on the way repeats the event.
        if let Some(seq) = frame.get("s").and_then(Value::as_u64) {
            self.cursor.seq = seq;
        }
        Ok(())
    }

    fn welcome(&mut self) {
        self.is_welcome = true;
        self.inbox.online();
    }

    fn joined(&mut self, guild: &Value) {
        let (id, server) = (text(guild, "/id"), text(guild, "/name"));
        self.bot.guilds.lock().insert(id.to_owned(), server.to_owned());
        for channel in list(guild, "/channels") {
            self.bot.remember(channel, id, server);
            if events::is_text(channel) {
                let place = Place { chat: text(channel, "/id").to_owned(), thread: None };
                self.events.push(Incoming::Membership { place, is_member: true });
            }
        }
        for thread in list(guild, "/threads") {
            self.bot.remember(thread, id, server);
        }
    }

    /// The bot was removed from a server. After a restart its channels may be unknown; then sending to them fails.
    fn left(&mut self, guild: &str) {
        self.bot.rooms.lock().retain(|channel, room| {
            if room.guild == guild && room.parent.is_none() {
                let place = Place { chat: channel.clone(), thread: None };
                self.events.push(Incoming::Membership { place, is_member: false });
            }
            room.guild != guild
        });
    }

    async fn message(&mut self, data: &Value, is_edit: bool) -> Result<(), Fault> {
        let channel = text(data, "/channel_id");
        let Some(id) = events::written(data) else { return Ok(()) };
        if self.cursor.gaps.contains_key(channel) && !is_edit {
            // Earlier messages first. If that fails now, they follow later.
            while self.cursor.gaps.contains_key(channel) && self.fill(channel).await? {}
        }
        self.push(data, id, is_edit).await
    }

    async fn push(&mut self, data: &Value, id: u64, is_edit: bool) -> Result<(), Fault> {
        let channel = text(data, "/channel_id");
        if text(data, "/author/id") != self.me {
            let room = self.bot.room(channel).await?;
            let message = events::message(data, &room, self.me);
            self.events.push(match is_edit {
                true => Incoming::Edit(message),
                false => Incoming::Message(message),
            });
        }
        self.cursor.saw(channel, id);
        Ok(())
    }

    async fn interaction(&mut self, data: &Value) -> Result<(), Fault> {
        let kind = events::number(data, "/type");
        if !matches!(kind, 2 | 3) {
            return Ok(());
        }
        // At once: Discord waits for three seconds, and storing a batch may take longer. After a fault, the event comes again.
        if self.bot.remember_press(data)
            && let Err(fault) = self.acknowledge(data, kind).await
        {
            tracing::debug!(%fault, "Discord did not take the acknowledgement of an interaction.");
        }
        let room = self.bot.room(text(data, "/channel_id")).await?;
        self.events.push(match kind {
            2 => events::command(data, &room),
            _ => events::press(data, &room),
        });
        Ok(())
    }

    /// Stores the received events.
    async fn flush(&mut self) -> Result<(), Fault> {
        if self.events.is_empty() && !self.is_moved {
            return Ok(());
        }
        let events = std::mem::take(&mut self.events);
        self.inbox.receive(Batch { events, cursor: Some(self.cursor.write()) }).await?;
        self.is_moved = false;
        Ok(())
    }

    async fn acknowledge(&self, interaction: &Value, kind: u64) -> Result<(), Fault> {
        let (id, token) = (text(interaction, "/id"), text(interaction, "/token"));
        // A press needs no visible answer. A command gets one, which only its sender sees.
        let answer = match kind {
            3 => json!({"type": 6}),
            _ => json!({"type": 4, "data": {"content": "Received", "flags": EPHEMERAL}}),
        };
        let path = format!("/interactions/{id}/{token}/callback");
        let request = self.bot.request(Method::Post, &path).timeouts(ACK);
        self.bot.exchange(request.body("application/json", answer.to_string()), false).await?;
        Ok(())
    }

    async fn fill_first(&mut self) -> Result<(), Fault> {
        match self.cursor.gaps.keys().next().cloned() {
            Some(channel) => self.fill(&channel).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Fetches one page of missed messages. Returns `false` if Discord asks for a pause.
    async fn fill(&mut self, channel: &str) -> Result<bool, Fault> {
        let Gap { after, pages } = self.cursor.gaps.get(channel).copied().unwrap_or_default();
        let path = format!("/channels/{channel}/messages?after={after}&limit=100");
        let found = match self.bot.get(&path).await {
            Ok(found) => found,
            Err(fault) if fault.kind == FaultKind::Permanent => Value::Null,
            Err(fault) => match fault.retry_after {
                Some(wait) => {
                    self.fill_at = Instant::now() + wait;
                    return Ok(false);
                }
                None => return Err(fault),
            },
        };
        let mut messages: Vec<(u64, &Value)> = list(&found, "")
            .iter()
            .filter_map(|message| Some((text(message, "/id").parse().ok()?, message)))
            .collect();
        messages.sort_unstable_by_key(|(id, _)| *id);
        for (id, message) in &messages {
            if events::written(message).is_some() {
                self.push(message, *id, false).await?;
            }
        }
        let pages = pages + 1;
        match messages.last() {
            Some((after, _)) if messages.len() == 100 && pages < MAX_PAGES => {
                self.cursor.gaps.insert(channel.to_owned(), Gap { after: *after, pages });
            }
            Some(_) | None => {
                self.cursor.gaps.remove(channel);
            }
        }
        self.is_moved = true;
        self.flush().await?;
        Ok(true)
    }
}

fn lost() -> Fault {
    Fault::new(FaultKind::Transient, LOST)
}

/// The meaning of a close code.
fn closed(code: Option<u16>) -> Result<End, Fault> {
    let permanent = |detail: &str| Err(Fault::new(FaultKind::Permanent, detail));
    match code {
        Some(4004) => Err(revoked()),
        // Wrong session or sequence number, session timed out.
        Some(4003 | 4006 | 4007 | 4009) => Ok(End::Identify),
        Some(4008) => Err(lost().retry_after(Some(Duration::from_secs(60)))),
        Some(4010 | 4011) => permanent(
            "the bot is in too many servers for one connection; use a bot of its own for HQ",
        ),
        Some(4012) => permanent("Discord no longer offers this version of its gateway; update HQ"),
        Some(4013 | 4014) => {
            permanent("turn on Message Content Intent in the Discord developer portal under Bot")
        }
        Some(_) | None => Err(lost()),
    }
}
