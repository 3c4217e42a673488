//! Sign-in with a vendor account instead of an API key (RFC 6749, 7636 and 8628). Endpoints, client id and
//! vendor-specific parameters are data. Nothing here waits, stores or displays anything.

pub mod answer;
pub mod flows;
pub mod tokens;

use serde::{Deserialize, Serialize};

use super::base::{self, Base, BaseError, Server, Wire};

/// The vendor of an account. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vendor {
    /// ChatGPT subscription.
    #[serde(rename = "chatgpt")]
    ChatGpt,
    /// GitHub Copilot.
    #[serde(rename = "copilot")]
    Copilot,
}

impl Vendor {
    /// Stable name.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.about().word
    }

    /// Parses a stable name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::ChatGpt, Self::Copilot].into_iter().find(|vendor| vendor.word() == word)
    }

    /// Sign-in data of the vendor.
    #[must_use]
    pub fn about(self) -> &'static About {
        match self {
            Self::ChatGpt => &CHATGPT,
            Self::Copilot => &COPILOT,
        }
    }

    /// Default protocol of its models.
    #[must_use]
    pub fn wire(self) -> Wire {
        match self {
            Self::ChatGpt => Wire::OpenAiResponses,
            Self::Copilot => Wire::OpenAiChat,
        }
    }

    /// The server of an address given by a person or the vendor. Empty text means the vendor's default.
    ///
    /// # Errors
    /// If it is not an http(s) URL.
    pub fn base(self, input: &str) -> Result<Base, BaseError> {
        let server = match self {
            Self::ChatGpt => Server::ChatGpt,
            Self::Copilot => Server::Copilot,
        };
        let input = if input.trim().is_empty() { self.about().base } else { input };
        base::exact(input, server)
    }
}

/// Sign-in data of a vendor.
#[derive(Debug)]
pub struct About {
    /// Stable name.
    pub word: &'static str,
    pub name: &'static str,
    /// API base URL.
    pub base: &'static str,
    /// Authorization endpoint.
    pub authorize: &'static str,
    /// Token endpoint, also for refreshes.
    pub token: &'static str,
    /// Device authorization endpoint.
    pub device: &'static str,
    /// Endpoint that exchanges a token for a short-lived one.
    pub exchange: &'static str,
    /// Redirect URL.
    pub redirect: &'static str,
    /// OAuth scope.
    pub scope: &'static str,
    /// Additional parameters of the authorization URL.
    pub more: &'static [(&'static str, &'static str)],
    /// Headers of every call.
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

/// OAuth client: vendor, client id and endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub vendor: Vendor,
    /// Client id issued by the vendor.
    pub id: String,
    /// Integration id sent in calls, if the vendor requires one.
    pub integration: Option<String>,
    pub endpoints: Endpoints,
}

/// OAuth endpoints. An empty text means that the step does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Authorization endpoint.
    pub authorize: String,
    /// Token endpoint, also for refreshes.
    pub token: String,
    /// Device authorization endpoint.
    pub device: String,
    /// Endpoint that exchanges a token for a short-lived one.
    pub exchange: String,
    /// Redirect URL.
    pub redirect: String,
}

impl Endpoints {
    /// The vendor's default endpoints.
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

    /// All endpoints by name.
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
    /// Removes everything but the vendor, for machines that never sign in.
    pub fn strip(&mut self) {
        let vendor = self.vendor;
        *self =
            Self { vendor, id: String::new(), integration: None, endpoints: Endpoints::default() };
    }

    /// Returns `true` if only the vendor is left.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.endpoints.token.is_empty()
    }

    /// Device authorization endpoint. Accounts created before the vendor supported device codes use the vendor's
    /// default.
    #[must_use]
    pub fn device(&self) -> &str {
        let (ends, about) = (&self.endpoints, self.vendor.about());
        match ends.device.is_empty() && ends.token == about.token {
            true => about.device,
            false => &ends.device,
        }
    }

    /// Revocation endpoint, next to the token endpoint; `None` if the vendor has none.
    #[must_use]
    pub fn revoke(&self) -> Option<String> {
        match self.vendor {
            Vendor::ChatGpt => beside(&self.endpoints.token, "revoke"),
            // Requires a client secret, which a program on people's machines does not have.
            Vendor::Copilot => None,
        }
    }

    /// Headers of every call.
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

/// The URL with its last path segment replaced.
#[must_use]
pub fn beside(address: &str, last: &str) -> Option<String> {
    let (start, old) = address.rsplit_once('/')?;
    (!old.is_empty() && !start.ends_with('/')).then(|| format!("{start}/{last}"))
}

/// Class of a vendor's error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The code was not typed yet.
    Pending,
    /// Polling is too frequent; contains the new interval in seconds, if given.
    SlowDown(Option<u32>),
    /// The person declined.
    Denied,
    /// The code expired.
    Expired,
    /// The sign-in is no longer valid: a person must sign in again.
    Revoked,
    /// The vendor rejects this program or account: a person must change something.
    Refused,
    /// Temporary failure.
    Passing,
}

/// A failed sign-in step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthError {
    /// Class of the failure.
    pub failure: Failure,
    /// The vendor's message, without secrets.
    pub message: String,
    /// Requested pause.
    pub retry_after: Option<std::time::Duration>,
    /// Whether a response may have been lost.
    pub unheard: bool,
}

impl AuthError {
    /// A failure with our own message.
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
