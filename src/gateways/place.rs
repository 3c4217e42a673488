//! This HQ's public address, and the ways of joining that it permits.

use app::config::Config;

/// What to do without a public address.
const HOW: &str = "Set public_url in hq.toml, HQ_PUBLIC_URL or hq serve --public-url to the \
    address where other machines can reach this HQ, such as https://hq.example.com, and restart \
    HQ.";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Other machines cannot reach HQ; with the reason and the remedy.
    Nowhere(String),
    /// Manual joining only: a download over this address could be modified in transit.
    ByHand(String),
    /// Manual joining and the join script.
    Anywhere(String),
}

impl Place {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        match config.public_url.as_deref() {
            None => Self::Nowhere(format!("HQ has no public address yet. {HOW}")),
            Some(url) if is_loopback(url) => {
                Self::Nowhere(format!("Other machines can’t reach {url}. {HOW}"))
            }
            Some(url) if url.starts_with("https://") => Self::Anywhere(url.to_owned()),
            Some(url) => Self::ByHand(url.to_owned()),
        }
    }

    /// The public address, if there is one.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Nowhere(_) => None,
            Self::ByHand(url) | Self::Anywhere(url) => Some(url),
        }
    }

    /// Why no machine can join; empty if machines can.
    #[must_use]
    pub fn why_not(&self) -> &str {
        match self {
            Self::Nowhere(why) => why,
            Self::ByHand(_) | Self::Anywhere(_) => "",
        }
    }

    /// The command to run on the other machine; `None` if joining is manual only.
    #[must_use]
    pub fn command(&self, token: &str, fingerprint: &str, more: &str) -> Option<String> {
        match self {
            Self::Anywhere(url) => Some(format!(
                "curl -fsSL {url}/join | sh -s -- --token {token} --fingerprint {fingerprint}{more}"
            )),
            Self::Nowhere(_) | Self::ByHand(_) => None,
        }
    }

    /// The command for manual joining, with the token in a file.
    #[must_use]
    pub fn by_hand(&self, fingerprint: &str) -> String {
        let url = self.address().unwrap_or_default();
        format!("hq replica --join {url} --token-file join.token --fingerprint {fingerprint}")
    }
}

/// Whether an address is a loopback address.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    let is_own = |ip: std::net::IpAddr| ip.is_loopback() || ip.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_own)
}

#[cfg(test)]
mod tests {
    use super::{Place, is_loopback};

    #[test]
    fn an_address_of_the_machine_itself_is_known() {
        for url in [
            "http://localhost",
            "https://localhost:8080",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "https://[::1]:8443",
            "http://0.0.0.0",
            "http://hq.localhost",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://hq.example.com", "http://10.0.0.7:8080", "https://[2001:db8::1]"] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn a_command_holds_address_token_and_fingerprint_and_nothing_else() {
        let place = Place::Anywhere("https://hq.example.com".into());
        assert_eq!(
            place.command("hq_gw_x", "SHA256:abc", "").as_deref(),
            Some(
                "curl -fsSL https://hq.example.com/join | sh -s -- --token hq_gw_x --fingerprint \
                 SHA256:abc"
            )
        );
        let place = Place::ByHand("http://10.0.0.7".into());
        assert_eq!(place.command("hq_gw_x", "SHA256:abc", ""), None);
        assert!(!place.by_hand("SHA256:abc").contains("hq_gw_"));
    }
}
