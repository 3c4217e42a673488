//! Telegram keeps no key of a message: what was cut off may have arrived.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use standins::telegram::{Chat, Telegram as Server, User};

use super::{Arrived, Messenger, PEOPLE};

const TOKEN: &str = "700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi";
const FIRST_PERSON: i64 = 501;
const ROOM: i64 = -100_500;
/// Ids of written messages begin here.
const FIRST_ID: i64 = 1_000_000;
const SEND: &str = "sendMessage";

pub struct Telegram {
    server: Server,
    next: AtomicI64,
}

fn person(who: usize) -> i64 {
    FIRST_PERSON + i64::try_from(who).expect("a small number")
}

impl Messenger for Telegram {
    const NAME: &str = "Telegram";
    const IS_EXACT: bool = false;

    async fn start() -> Self {
        let server = Server::start().await;
        server.bot(TOKEN, 7001, "Ada", "ada_bot");
        Self { server, next: AtomicI64::new(FIRST_ID) }
    }

    fn connection(&self) -> Value {
        json!({ "kind": "telegram", "token": TOKEN, "api_base": self.server.url() })
    }

    fn chat(who: usize, is_direct: bool) -> String {
        if is_direct { person(who) } else { ROOM }.to_string()
    }

    fn say(&self, who: usize, is_direct: bool, text: &str) -> String {
        let chat = match is_direct {
            true => Chat::direct(person(who)),
            false => Chat::group(ROOM, "Sales"),
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let from = User::new(person(who), PEOPLE[who], &PEOPLE[who].to_lowercase());
        let message = json!({ "message_id": id, "chat": chat.0, "from": from.0, "text": text });
        self.server.say_with(TOKEN, json!({ "message": message }));
        id.to_string()
    }

    fn pair(&self, who: usize, link: &str) {
        let code = link.split_once("start=").expect("a link with a code").1;
        self.say(who, true, &format!("/start {code}"));
    }

    fn arrived(&self) -> Vec<Arrived> {
        let sent = self.server.sent(TOKEN).into_iter().map(|one| Arrived {
            chat: one.chat.to_string(),
            id: one.message_id.to_string(),
            text: one.text,
        });
        sent.collect()
    }

    fn waiting(&self) -> usize {
        self.server.waiting(TOKEN)
    }

    async fn taken(&self, more: usize) {
        let count = self.server.sent(TOKEN).len() + more;
        self.server.wait_sent(TOKEN, count).await;
    }

    async fn sending(&self) {
        let count = self.server.called(TOKEN, SEND) + 1;
        self.server.hold(SEND);
        self.server.wait_called(TOKEN, SEND, count).await;
    }

    fn release(&self) {
        self.server.release(SEND);
    }

    /// A poll acknowledges what the last one brought.
    async fn heard(&self, more: usize) {
        let count = self.server.called(TOKEN, "getUpdates") + more;
        self.server.wait_called(TOKEN, "getUpdates", count).await;
    }
}
