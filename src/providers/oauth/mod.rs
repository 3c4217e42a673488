//! Signing in at a maker instead of giving a key (RFC 6749, 7636 and 8628). The addresses, the id of the client and
//! what a maker wants beside them are data; nothing here waits, keeps or shows anything.

pub mod answer;
pub mod flows;
pub mod tokens;

use serde::{Deserialize, Serialize};

use super::base::{self, Base, BaseError, Server, Wire};

/// Whose account it is. Stored by position: only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vendor {
    /// A subscription of ChatGPT.
    #[serde(rename = "chatgpt")]
    ChatGpt,
    /// GitHub Copilot.
    #[serde(rename = "copilot")]
    Copilot,
}

impl Vendor {
    /// A stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.about().word
    }

    /// The maker of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::ChatGpt, Self::Copilot].into_iter().find(|vendor| vendor.word() == word)
    }

    /// What has to be known of it.
    #[must_use]
    pub fn about(self) -> &'static About {
        match self {
            Self::ChatGpt => &CHATGPT,
            Self::Copilot => &COPILOT,
        }
    }

    /// The protocol that its models usually answer over.
    #[must_use]
    pub fn wire(self) -> Wire {
        match self {
            Self::ChatGpt => Wire::OpenAiResponses,
            Self::Copilot => Wire::OpenAiChat,
        }
    }

    /// The server below an address that a person or the maker gave; an empty one means the maker's own.
    ///
    /// # Errors
    /// It is no http(s) address.
    pub fn base(self, typed: &str) -> Result<Base, BaseError> {
        let server = match self {
            Self::ChatGpt => Server::ChatGpt,
            Self::Copilot => Server::Copilot,
        };
        let typed = if typed.trim().is_empty() { self.about().base } else { typed };
        base::exact(typed, server)
    }
}

/// What has to be known of a maker to sign in there.
#[derive(Debug)]
pub struct About {
    /// Its stable word.
    pub word: &'static str,
    pub name: &'static str,
    /// Where its models answer.
    pub base: &'static str,
    /// Where a browser is sent.
    pub authorize: &'static str,
    /// Where a code becomes tokens, and tokens become new ones.
    pub token: &'static str,
    /// Where a code for a person to type is made.
    pub device: &'static str,
    /// Where a token becomes a short one that calls are made with.
    pub exchange: &'static str,
    /// Where a browser is sent back to.
    pub redirect: &'static str,
    /// What is asked for.
    pub scope: &'static str,
    /// What else the first address is told.
    pub more: &'static [(&'static str, &'static str)],
    /// What goes along with every call.
    pub headers: &'static [(&'static str, &'static str)],
}

const PROGRAM: &str = concat!("hq/", env!("CARGO_PKG_VERSION"));

const CHATGPT: About = About {
    word: "chatgpt",
    name: "ChatGPT",
    base: "https://chatgpt.com/backend-api/codex",
    authorize: "https://auth.openai.com/oauth/authorize",
    token: "https://auth.openai.com/oauth/token",
    device: "https://auth.openai.com/api/accounts/deviceauth/usercode",
    exchange: "",
    redirect: "http://localhost:1455/auth/callback",
    scope: "openid profile email offline_access",
    more: &[("id_token_add_organizations", "true")],
    headers: &[("openai-beta", "responses=experimental"), ("originator", "hq")],
};

const COPILOT: About = About {
    word: "copilot",
    name: "GitHub Copilot",
    base: "https://api.githubcopilot.com",
    authorize: "",
    token: "https://github.com/login/oauth/access_token",
    device: "https://github.com/login/device/code",
    exchange: "https://api.github.com/copilot_internal/v2/token",
    redirect: "",
    scope: "read:user",
    more: &[],
    headers: &[
        ("editor-version", PROGRAM),
        ("editor-plugin-version", PROGRAM),
        ("openai-intent", "conversation-panel"),
    ],
};

/// Where a person signs in, and as which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// At whom.
    pub vendor: Vendor,
    /// The id that the maker gave the program.
    pub id: String,
    /// The name under which the maker knows the program in calls, where it wants one.
    pub integration: Option<String>,
    /// The addresses.
    pub endpoints: Endpoints,
}

/// Where the steps of a sign-in lead. An empty text: there is no such step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Where a browser is sent.
    pub authorize: String,
    /// Where a code becomes tokens, and tokens become new ones.
    pub token: String,
    /// Where a code for a person to type is made.
    pub device: String,
    /// Where a token becomes a short one that calls are made with.
    pub exchange: String,
    /// Where a browser is sent back to.
    pub redirect: String,
}

impl Endpoints {
    /// The maker's own.
    #[must_use]
    pub fn of(vendor: Vendor) -> Self {
        let about = vendor.about();
        Self {
            authorize: about.authorize.to_owned(),
            token: about.token.to_owned(),
            device: about.device.to_owned(),
            exchange: about.exchange.to_owned(),
            redirect: about.redirect.to_owned(),
        }
    }

    /// Names and values of all.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &str); 5] {
        [
            ("authorize", &self.authorize),
            ("token", &self.token),
            ("device", &self.device),
            ("exchange", &self.exchange),
            ("redirect", &self.redirect),
        ]
    }
}

impl Client {
    /// Leaves nothing but whose account it is: all that a machine has to know that never signs in.
    pub fn strip(&mut self) {
        let vendor = self.vendor;
        *self =
            Self { vendor, id: String::new(), integration: None, endpoints: Endpoints::default() };
    }

    /// Whether nothing but that is left.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.endpoints.token.is_empty()
    }

    /// Where a code for a person to type is made. Accounts that were added before their maker had such a way have it
    /// since.
    #[must_use]
    pub fn device(&self) -> &str {
        let (ends, about) = (&self.endpoints, self.vendor.about());
        match ends.device.is_empty() && ends.token == about.token {
            true => about.device,
            false => &ends.device,
        }
    }

    /// Where the maker is told that a sign-in is over, if it wants to know: beside where it gives out tokens.
    #[must_use]
    pub fn revoke(&self) -> Option<String> {
        match self.vendor {
            Vendor::ChatGpt => beside(&self.endpoints.token, "revoke"),
            // It wants a secret that a program on people's machines does not have.
            Vendor::Copilot => None,
        }
    }

    /// What goes along with every call.
    #[must_use]
    pub fn headers(&self, account: Option<&str>) -> Vec<(String, String)> {
        let usual = self.vendor.about().headers.iter();
        let mut headers: Vec<(String, String)> =
            usual.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let own = match self.vendor {
            Vendor::ChatGpt => ("chatgpt-account-id", account),
            Vendor::Copilot => ("copilot-integration-id", self.integration.as_deref()),
        };
        if let (name, Some(value)) = own {
            headers.push((name.to_owned(), value.to_owned()));
        }
        headers
    }
}

/// The address whose last piece is another one.
#[must_use]
pub fn beside(address: &str, last: &str) -> Option<String> {
    let (start, old) = address.rsplit_once('/')?;
    (!old.is_empty() && !start.ends_with('/')).then(|| format!("{start}/{last}"))
}

/// What a failure at the maker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody has typed the code yet.
    Pending,
    /// It is asked too often: so many seconds between two questions from now on, if it says how many.
    SlowDown(Option<u32>),
    /// The person said no.
    Denied,
    /// The code was not typed in time.
    Expired,
    /// The sign-in does not count any more: a person has to sign in again.
    Revoked,
    /// The maker does not want this program or this account: a person has to change something.
    Refused,
    /// It may go well in a moment.
    Passing,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthError {
    /// What it means.
    pub failure: Failure,
    /// What the maker said, without any secret.
    pub message: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<std::time::Duration>,
    /// Whether there may have been an answer that never arrived.
    pub unheard: bool,
}

impl AuthError {
    /// A failure in our words.
    #[must_use]
    pub fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into(), retry_after: None, unheard: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_each_maker_can_be_used() {
        for vendor in [Vendor::ChatGpt, Vendor::Copilot] {
            assert_eq!(Vendor::of(vendor.word()), Some(vendor));
            let base = vendor.base("").expect("an address");
            assert_eq!(base.url, vendor.about().base);
            for (name, url) in Endpoints::of(vendor).all() {
                assert!(url.is_empty() || url::Url::parse(url).is_ok(), "{name}: {url}");
            }
            let about = vendor.about();
            assert!(!about.token.is_empty());
            assert!(!about.device.is_empty(), "a code can be typed at each");
        }
        assert_eq!(Vendor::of("nobody"), None);
    }

    #[test]
    fn an_address_beside_another_is_on_the_same_server() {
        let beside = |address| beside(address, "revoke");
        let there = Some("https://auth.example/oauth/revoke".to_owned());
        assert_eq!(beside("https://auth.example/oauth/token"), there);
        assert_eq!(
            beside("https://auth.example/token"),
            Some("https://auth.example/revoke".into())
        );
        assert_eq!(beside("https://auth.example"), None, "that is the server itself");
        assert_eq!((beside("https://auth.example/oauth/"), beside("")), (None, None));
    }

    #[test]
    fn what_was_added_before_there_were_codes_has_them_too() {
        let endpoints = Endpoints { device: String::new(), ..Endpoints::of(Vendor::ChatGpt) };
        let old = Client { vendor: Vendor::ChatGpt, id: "c".into(), integration: None, endpoints };
        assert_eq!(old.device(), CHATGPT.device);
        assert_eq!(old.revoke().as_deref(), Some("https://auth.openai.com/oauth/revoke"));
        let mut own = old;
        own.endpoints.token = "https://own.example/token".into();
        assert_eq!(own.device(), "", "of a maker of one's own nothing is guessed");
    }

    #[test]
    fn the_account_and_the_program_go_along() {
        let client = |vendor, integration: Option<&str>| Client {
            vendor,
            id: "c".into(),
            integration: integration.map(str::to_owned),
            endpoints: Endpoints::of(vendor),
        };
        let has = |headers: &[(String, String)], name: &str, value: &str| {
            headers.iter().any(|(n, v)| n == name && v == value)
        };
        let headers = client(Vendor::ChatGpt, None).headers(Some("acc-1"));
        assert!(has(&headers, "chatgpt-account-id", "acc-1"));
        let headers = client(Vendor::Copilot, Some("ours")).headers(Some("acc-1"));
        assert!(has(&headers, "copilot-integration-id", "ours"));
        assert!(has(&headers, "editor-version", PROGRAM));
        assert!(!headers.iter().any(|(_, value)| value == "acc-1"));
    }
}
