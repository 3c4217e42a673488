//! Slack finds a message by its metadata, and repeats events until they are acknowledged or, after a while, has only the
//! history.

use serde_json::{Value, json};
use standins::slack::{APP_TOKEN, BOT_TOKEN, Slack as Server};

use super::{Arrived, Messenger};

const ROOM: &str = "C500";

pub struct Slack(Server);

fn direct(who: usize) -> String {
    format!("D50{who}")
}

fn user(who: usize) -> String {
    format!("U50{who}")
}

impl Messenger for Slack {
    const NAME: &str = "Slack";
    const IS_EXACT: bool = true;

    async fn start() -> Self {
        Self(Server::start().await.expect("a free port"))
    }

    fn connection(&self) -> Value {
        let (token, app_token, url) = (BOT_TOKEN, APP_TOKEN, self.0.url());
        json!({ "kind": "slack", "token": token, "app_token": app_token, "api_base": url })
    }

    fn chat(who: usize, is_direct: bool) -> String {
        if is_direct { direct(who) } else { ROOM.to_owned() }
    }

    fn say(&self, who: usize, is_direct: bool, text: &str) -> String {
        self.0.say(&Self::chat(who, is_direct), &user(who), text)
    }

    /// Slack's own client takes a text that begins with a slash for a command.
    fn pair(&self, who: usize, link: &str) {
        let (command, words) = link.split_once(' ').expect("a command with a code");
        self.0.command(&direct(who), &user(who), command, words);
    }

    fn arrived(&self) -> Vec<Arrived> {
        let text = |one: &Value, name: &str| one[name].as_str().expect("a text").to_owned();
        let sent = self.0.sent().into_iter().map(|one| Arrived {
            chat: text(&one, "channel"),
            id: text(&one, "ts"),
            text: text(&one, "text"),
        });
        sent.collect()
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
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

    async fn heard(&self, more: usize) {
        self.0.wait_acknowledgements(self.0.acknowledged() + more).await;
    }

    fn forget(&self) {
        self.0.forget_envelopes();
    }

    fn fail(&self) {
        self.0.fail_next(503, "", None);
    }
}
