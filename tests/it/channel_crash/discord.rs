//! Discord returns what it knows by a nonce, and replays a session or, when that is gone, has the history.

use serde_json::{Value, json};
use standins::discord::{Discord as Server, TOKEN};

use super::{Arrived, Messenger, PEOPLE};
use crate::crash::api::Api;

const ROOM: &str = "3000";

pub struct Discord(Server);

fn direct(who: usize) -> String {
    format!("450{who}")
}

impl Messenger for Discord {
    const NAME: &str = "Discord";
    const IS_EXACT: bool = true;

    async fn start() -> Self {
        let server = Server::start().await.expect("a free port");
        for who in 0..PEOPLE.len() {
            server.direct(&direct(who));
        }
        Self(server)
    }

    fn connection(&self) -> Value {
        json!({ "kind": "discord", "token": TOKEN, "api_base": self.0.url() })
    }

    /// Without a session or a former message in a chat, nothing is delivered later.
    async fn connected(&self, _api: &Api<'_>, _channel: &str) {
        self.0.wait_connected(1, 0).await;
    }

    fn chat(who: usize, is_direct: bool) -> String {
        if is_direct { direct(who) } else { ROOM.to_owned() }
    }

    fn say(&self, who: usize, is_direct: bool, text: &str) -> String {
        self.0.say(&Self::chat(who, is_direct), &format!("50{who}"), text)
    }

    fn arrived(&self) -> Vec<Arrived> {
        let text = |one: &Value, name: &str| one[name].as_str().expect("a text").to_owned();
        let sent = self.0.sent().into_iter().map(|one| Arrived {
            chat: text(&one, "channel_id"),
            id: text(&one, "id"),
            text: text(&one, "content"),
        });
        sent.collect()
    }

    /// Discord does not hear what was stored.
    fn waiting(&self) -> usize {
        0
    }

    async fn taken(&self, more: usize) {
        self.0.wait_sent(self.0.sent().len() + more).await;
    }

    async fn sending(&self) {
        self.0.posts().close();
        self.0.posts().wait_held().await;
    }

    fn release(&self) {
        self.0.posts().open();
    }

    /// Calls of any kind: typing for what was stored, looks at what was missed or sent.
    async fn heard(&self, more: usize) {
        self.0.wait_calls("", self.0.calls("").len() + more).await;
    }

    fn forget(&self) {
        self.0.forget_sessions();
    }

    fn fail(&self) {
        self.0.fail_next(503, json!({}));
    }
}
