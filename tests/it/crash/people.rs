//! Load: people. Invitations, joining, sign-in and sign-out, authenticator codes, role changes, removal; tokens.

use crypto::totp::TotpSecret;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kernel::Clock as _;
use kernel::time::SystemClock;
use serde_json::{Value, json};

use support::browse::secret_of_an_app;

use super::api::{Again, Answer, Api, Ask, Came, Door, HOME};
use super::desk::{Desk, Tally};
use super::dice::Dice;

const PASSWORD: &str = "a lantern on the north wall";
/// Maximum number of people: hashing a password is slow.
const MOST: usize = 30;
const KINDS: &[&str] = &[
    "invitations",
    "people",
    "looks at members",
    "sign-ins",
    "apps",
    "keys of apps",
    "codes",
    "sign-outs",
    "roles",
    "withdrawn invitations",
    "removed people",
    "tokens",
    "revoked tokens",
    "people's rules",
];

/// State of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Invited,
    Withdrawn,
    In,
    Gone,
}

struct Somebody {
    email: String,
    invite: String,
    /// Query string of the invitation link.
    link: String,
    account: String,
    cookie: String,
    role: &'static str,
    stage: Stage,
    app: Option<TotpSecret>,
    has_codes: bool,
}

struct Token {
    name: String,
    id: String,
    open: bool,
}

#[derive(Default)]
pub struct People {
    known: Vec<Somebody>,
    tokens: Vec<Token>,
    doing: Option<(&'static str, usize, String)>,
    tally: Tally,
}

impl Somebody {
    fn may(&self, kind: &str) -> bool {
        let signed_in = self.stage == Stage::In && !self.cookie.is_empty();
        match kind {
            "people" | "withdrawn invitations" => self.stage == Stage::Invited,
            "sign-ins" => self.stage == Stage::In && self.cookie.is_empty() && !self.has_codes,
            "apps" => signed_in && self.app.is_none(),
            "keys of apps" => signed_in && self.app.is_none(),
            "codes" => signed_in && self.app.is_some() && !self.has_codes,
            "sign-outs" => signed_in,
            "looks at members" => self.stage == Stage::In && self.account.is_empty(),
            "roles" | "removed people" => self.stage == Stage::In && !self.account.is_empty(),
            _ => false,
        }
    }

    /// Joins through the link, with a new account.
    fn join(&self) -> Ask {
        join(&self.link, &self.email)
    }

    fn sign_in(&self) -> Ask {
        let fields = [("email", self.email.as_str()), ("password", PASSWORD), ("next", "")];
        Ask::form("/login", &fields).by(Door::Nobody)
    }
}

/// Query string of an invitation link.
pub fn in_link(link: &str) -> &str {
    link.split_once('?').expect("a link with a token").1
}

/// Joins through the query string of a link, with a new account.
pub fn join(in_link: &str, email: &str) -> Ask {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(in_link).expect("a query");
    let value = |name: &str| {
        let pair = pairs.iter().find(|(own, _)| own == name);
        pair.map(|(_, value)| value.clone()).expect("a link names a place and a token")
    };
    let (place, token) = (value("in"), value("token"));
    let fields = [
        ("in", place.as_str()),
        ("token", &token),
        ("name", email),
        ("email", email),
        ("password", PASSWORD),
    ];
    Ask::form("/join", &fields).by(Door::Nobody).again(Again::Look)
}

impl People {
    async fn members(api: &Api<'_>) -> Vec<Value> {
        api.list("/api/v1/members").await
    }

    /// A person whose joining was interrupted: is a member already, or joins now, with the created account if there is
    /// one.
    async fn joined(&self, api: &Api<'_>, at: usize) -> Answer {
        let one = &self.known[at];
        let is_in = Self::members(api).await.iter().any(|m| m["email"] == one.email.as_str());
        if !is_in {
            let anew = api.ask(&one.join()).await;
            if anew.status == 303 {
                return anew;
            }
            assert_eq!(anew.status, 422, "{} has an account: {}", one.email, anew.text);
        }
        let signed_in = api.ask(&one.sign_in()).await;
        assert_eq!(signed_in.status, 303, "{} has an account ({is_in})", one.email);
        let cookie = signed_in.cookie.clone().expect("a cookie");
        if !is_in {
            let on = api.ask(&one.join().by(Door::Browser(cookie))).await;
            assert_eq!(on.status, 303, "{} goes on with the link: {}", one.email, on.text);
        }
        signed_in
    }
}

impl Desk for People {
    fn name(&self) -> &'static str {
        "people"
    }
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask {
        let may = |kind: &&&str| self.known.iter().any(|one| one.may(kind));
        let mut possible: Vec<&str> = KINDS.iter().filter(may).copied().collect();
        possible.extend(["tokens", "people's rules"]);
        if self.known.len() < MOST {
            possible.push("invitations");
        }
        if self.tokens.iter().any(|token| token.open) {
            possible.push("revoked tokens");
        }
        let kind = self.tally.choose(dice, &possible);
        let at = match kind {
            "revoked tokens" => dice.place(&self.tokens, |token| token.open),
            kind => dice.place(&self.known, |one| one.may(kind)),
        };
        let at = at.unwrap_or(0);
        let email = format!("{name}@marlow.example");
        self.doing =
            Some((kind, at, if kind == "tokens" { name.to_owned() } else { email.clone() }));
        let security = format!("/w/{HOME}/settings/security/app");
        match kind {
            "invitations" => {
                let body = json!({ "role": "member", "email": email });
                Ask::post("/api/v1/invites", body).again(Again::Look)
            }
            "tokens" => {
                let body = json!({ "name": name, "scopes": ["read"] });
                Ask::post("/api/v1/tokens", body).by(Door::Owner).again(Again::Look)
            }
            "revoked tokens" => Ask::delete(format!("/api/v1/tokens/{}", self.tokens[at].id))
                .by(Door::Owner)
                .again(Again::Harmless),
            "looks at members" => Ask::get("/api/v1/members"),
            "people's rules" => Ask::form(format!("/w/{HOME}/settings/people"), &[]),
            "people" => self.known[at].join(),
            "sign-ins" => self.known[at].sign_in(),
            "sign-outs" => {
                let cookie = self.known[at].cookie.clone();
                Ask::form("/logout", &[]).by(Door::Browser(cookie))
            }
            "apps" => Ask::form(security, &[]).by(Door::Browser(self.known[at].cookie.clone())),
            "keys of apps" => Ask::get(security).by(Door::Browser(self.known[at].cookie.clone())),
            "codes" => {
                let one = &self.known[at];
                let app = one.app.as_ref().expect("seen just now");
                let code = app.code_at(SystemClock.now().as_millisecond());
                let ask = Ask::form(format!("{security}/confirm"), &[("code", &code)]);
                // A code may expire while the program starts.
                ask.by(Door::Browser(one.cookie.clone())).or(&[422])
            }
            "withdrawn invitations" => {
                let path = format!("/api/v1/invites/{}", self.known[at].invite);
                Ask::delete(path).again(Again::Harmless)
            }
            kind => {
                let path = format!("/api/v1/members/{}", self.known[at].account);
                match kind {
                    "roles" => {
                        // The present role would change nothing.
                        let mut roles = vec!["viewer", "member", "admin"];
                        roles.retain(|role| *role != self.known[at].role);
                        let to = *dice.one(&roles);
                        self.known[at].role = to;
                        Ask::patch(path, json!({ "role": to }))
                    }
                    _ => Ask::delete(path).again(Again::Harmless).or(&[404]),
                }
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        let (kind, at, name) = self.doing.take().expect("something was asked for");
        match kind {
            "invitations" => {
                let link = in_link(&answer.word("link")).to_owned();
                self.known.push(Somebody {
                    email: name,
                    invite: answer.word("id"),
                    link,
                    account: String::new(),
                    cookie: String::new(),
                    role: "member",
                    stage: Stage::Invited,
                    app: None,
                    has_codes: false,
                });
            }
            "people" | "sign-ins" => {
                let one = &mut self.known[at];
                one.stage = Stage::In;
                one.cookie = answer.cookie.clone().expect("a sign-in sets a cookie");
            }
            "looks at members" => {
                let members = answer.json["items"].as_array().expect("a list");
                for one in &mut self.known {
                    let own = members.iter().find(|m| m["email"] == one.email.as_str());
                    let id = own.and_then(|member| member["account"].as_str());
                    id.unwrap_or_default().clone_into(&mut one.account);
                }
            }
            "apps" => {}
            "keys of apps" => self.known[at].app = secret_of_an_app(&answer.text),
            "codes" => self.known[at].has_codes = answer.status != 422,
            "sign-outs" => self.known[at].cookie.clear(),
            "withdrawn invitations" => self.known[at].stage = Stage::Withdrawn,
            "removed people" => self.known[at].stage = Stage::Gone,
            "tokens" => {
                let token = Token { name, id: answer.word("id"), open: true };
                self.tokens.push(token);
            }
            "revoked tokens" => self.tokens[at].open = false,
            _ => {}
        }
        self.tally.count(kind);
    }

    fn look<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, Option<Answer>> {
        async move {
            let (kind, at, name) = self.doing.clone().expect("something was asked for");
            // A link or token is shown once: one whose response was lost is revoked.
            let (list, one) = match kind {
                "invitations" => ("/api/v1/invites", "email"),
                "tokens" => ("/api/v1/tokens", "name"),
                _ => return Some(self.joined(api, at).await),
            };
            let found = api.ask(&Ask::get(list).by(Door::Owner)).await.json;
            for item in found["items"].as_array().expect("a list").iter() {
                let open = item["revoked_at"].is_null() && item["ended_at"].is_null();
                if item[one] == name.as_str() && open {
                    let path = format!("{list}/{}", item["id"].as_str().expect("an id"));
                    let ask = Ask::delete(path).by(Door::Owner).again(Again::Harmless);
                    assert!(matches!(api.send(&ask, "").await, Came::Answer(a) if a.status == 200));
                }
            }
            None
        }
        .boxed()
    }

    fn check<'a>(&'a self, api: &'a Api<'_>, _latest: usize) -> BoxFuture<'a, ()> {
        async move {
            let members = Self::members(api).await;
            let invites = api.list("/api/v1/invites").await;
            for one in &self.known {
                let is = |found: &&Value| found["email"] == one.email.as_str();
                let open = invites.iter().filter(is).count();
                let found: Vec<_> = members.iter().filter(is).collect();
                let wanted =
                    (usize::from(one.stage == Stage::In), usize::from(one.stage == Stage::Invited));
                assert_eq!((found.len(), open), wanted, "{} ({:?})", one.email, one.stage);
                if let Some(member) = found.first() {
                    assert_eq!(member["role"], one.role, "{}", one.email);
                }
            }
            let listed = api.ask(&Ask::get("/api/v1/tokens").by(Door::Owner)).await.json;
            for token in &self.tokens {
                let is = |one: &&Value| one["id"] == token.id.as_str();
                let found = listed["items"].as_array().and_then(|all| all.iter().find(is));
                let found = found.unwrap_or_else(|| panic!("no token {}", token.name));
                assert_eq!(found["revoked_at"].is_null(), token.open, "token {}", token.name);
            }
        }
        .boxed()
    }
}
