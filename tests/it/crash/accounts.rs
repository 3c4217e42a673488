//! Load: provider accounts. Add, sign in, refresh before each call. Tokens are valid for a second, and as providers do,
//! the server accepts a consumed refresh token again from clients that missed the response.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;

use support::maker::Maker;
use support::wire;

use super::api::{Again, Answer, Api, Ask};
use super::desk::{Desk, Tally};
use super::dice::Dice;

const KINDS: &[&str] = &["accounts", "sign-ins begun", "sign-ins", "tests of accounts"];
/// The browser came too late, or the interrupted request had used up its code.
const TOO_LATE: &[u16] = &[409, 422, 502];

#[derive(Default)]
struct Known {
    id: String,
    name: String,
    /// URL that the browser was redirected to.
    url: Option<String>,
    /// Whether the sign-in has certainly succeeded.
    signed_in: bool,
}

pub struct Accounts {
    maker: Maker,
    models: String,
    known: Option<Known>,
    doing: (&'static str, String),
    tally: Tally,
}

impl Accounts {
    /// Accounts at this provider, with the models' base URL.
    pub fn new(maker: Maker, models: String) -> Self {
        maker.life(json!(1)).forgiving();
        Self { maker, models, known: None, doing: ("", String::new()), tally: Tally::default() }
    }
}

impl Desk for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let Some(known) = &self.known else {
            let name = format!("Account {name}");
            let mut body = self.maker.account(&name, "chatgpt", &self.models);
            body["default_model"] = json!("mock");
            self.doing = ("accounts", name);
            return Ask::post(format!("{}/accounts", wire::CONNECTIONS), body);
        };
        let mut possible = vec!["sign-ins begun"];
        if known.url.is_some() {
            possible.push("sign-ins");
        }
        if known.signed_in {
            possible.push("tests of accounts");
        }
        let kind = self.tally.choose(dice, &possible);
        self.doing = (kind, name.to_owned());
        let path = |tail: &str| format!("{}/{}/{tail}", wire::CONNECTIONS, known.id);
        match kind {
            "sign-ins begun" => {
                Ask::post(path("login"), json!({ "flow": "browser" })).again(Again::Harmless)
            }
            "sign-ins" => {
                let url = known.url.as_deref().expect("seen just now");
                let back = self.maker.sign_in(url, name);
                let ask = Ask::post(path("login/answer"), json!({ "answer": back }));
                ask.again(Again::Harmless).or(TOO_LATE)
            }
            _ => Ask::post(path("test"), json!({})).again(Again::Harmless),
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, name) = std::mem::take(&mut self.doing);
        if kind == "accounts" {
            self.known = Some(Known { id: answer.word("id"), name, ..Known::default() });
            return self.tally.count(kind);
        }
        let known = self.known.as_mut().expect("an account");
        match kind {
            "sign-ins begun" => known.url = Some(answer.word("url")),
            "sign-ins" => {
                known.url = None;
                if answer.status != 200 {
                    return;
                }
                known.signed_in = true;
            }
            _ => assert_eq!(answer.json["ok"], true, "{}", answer.text),
        }
        self.tally.count(kind);
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, _latest: usize) -> BoxFuture<'a, ()> {
        async move {
            let listed = api.list(wire::CONNECTIONS).await;
            let ours = listed.iter().filter(|one| one["route"] == "subscription").count();
            assert_eq!(ours, usize::from(self.known.is_some()), "accounts");
            let Some(known) = &self.known else { return };
            let one = listed.iter().find(|one| one["id"] == known.id.as_str());
            let one = one.unwrap_or_else(|| panic!("no account {}", known.name));
            assert_eq!(one["name"], known.name.as_str());
            let signed_in = one["account"]["signed_in"] == true;
            assert!(signed_in || !known.signed_in, "a sign-in is lost: {one}");
        }
        .boxed()
    }
}
