//! Provider accounts instead of keys, with a scripted provider.

use features::connections::model::{Connection, Grant, Login};
use kernel::ConnectionId;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{ReadExt as _, Record};

use support::hq::{Person, TestHq};
use support::maker::Maker;
use support::model::{ModelServer, Turn};
use support::office::Office;

mod flows;
mod renewal;
mod runs;
mod terminal;

const PLACE: &str = "/api/v1/connections";

/// An office and an account at a provider, whose models are on their own server.
struct Scene {
    office: Office,
    maker: Maker,
    model: ModelServer,
    api: Person,
    id: ConnectionId,
}

impl Scene {
    /// A scene for signing in with a browser; not yet signed in.
    async fn browser() -> Self {
        Self::of("chatgpt").await
    }

    /// A scene for signing in with a device code.
    async fn device() -> Self {
        Self::of("copilot").await
    }

    async fn of(maker_word: &str) -> Self {
        let office = Office::open().await;
        let maker = Maker::start().await;
        let model = ModelServer::start().await;
        model.offer(&["gpt-5.2", "codes"]).usually(Turn::text("ready"));
        let api = office.hq.api().await;
        // Copilot itself names the base URL for an account.
        let base_url = if maker_word == "copilot" { String::new() } else { model.openai_url() };
        let body = maker.account("Plan", maker_word, &base_url);
        let made = api.post(&format!("{PLACE}/accounts"), &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().expect("an id").parse().expect("an id");
        Self { office, maker, model, api, id }
    }

    /// The same, signed in and tested.
    async fn signed_in() -> Self {
        let scene = Self::browser().await;
        scene.sign_in().await;
        scene
    }

    fn hq(&self) -> &TestHq {
        &self.office.hq
    }

    fn path(&self, tail: &str) -> String {
        format!("{PLACE}/{}{tail}", self.id)
    }

    fn page(&self, tail: &str) -> String {
        format!("/w/marlow-cargo/settings/connections/{}{tail}", self.id)
    }

    async fn begin(&self, flow: &str) -> Value {
        let begun = self.api.post(&self.path("/login"), &json!({ "flow": flow })).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        begun.json()
    }

    /// Signs in with a browser and waits for the following test.
    async fn sign_in(&self) {
        let begun = self.begin("browser").await;
        let url = begun["url"].as_str().expect("an address");
        let back = self.maker.sign_in(url, "code-1");
        let done = self.api.post(&self.path("/login/answer"), &json!({ "answer": back })).await;
        assert_eq!(done.json()["state"], "done", "{}", done.text);
        self.tested().await;
    }

    /// Waits until the connection was tested.
    async fn tested(&self) -> Connection {
        let id = self.id;
        let found = self.office.until("the test", |snap| {
            Ok(snap.get::<Connection>(id)?.filter(|connection| connection.tested.is_some()))
        });
        found.await
    }

    fn find<R: Record<Id = ConnectionId>>(&self) -> Option<R> {
        self.office.ws().read(|snap| snap.get::<R>(self.id)).expect("a readable store")
    }

    fn grant(&self) -> Grant {
        self.find().expect("somebody is signed in")
    }

    fn login(&self) -> Login {
        self.find().expect("a sign-in")
    }

    async fn view(&self) -> Value {
        self.api.get(&self.path("")).await.json()
    }
}
