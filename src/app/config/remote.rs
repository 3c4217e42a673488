//! Remote server of a command, given by flags or by `HQ_URL` and `HQ_TOKEN`.
//!
//! Data stored on this machine is never sent there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

pub(super) const VARIABLES: [&str; 2] = ["HQ_URL", "HQ_TOKEN"];

/// A remote server and the token for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// URL without a trailing slash.
    pub url: String,
    pub token: String,
}

#[derive(Clone, Debug, Default)]
pub struct RemoteFlags {
    pub url: Option<String>,
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
}

/// Why the server cannot be determined.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RemoteError {
    #[error("{0} isn't a server address; use the form https://hq.example.com")]
    BadUrl(String),
    #[error("a server on another machine requires a token: --token-file FILE or HQ_TOKEN")]
    NoToken,
    /// A token was given without a URL.
    #[error("a token is for a server on another machine; give its address with --url")]
    NoUrl,
    #[error("{file} can't be read: {detail}")]
    Unreadable { file: String, detail: String },
}

impl Remote {
    /// Finds the remote server; `None` if neither a flag nor a variable names one. Flags take precedence.
    ///
    /// # Errors
    /// When the URL is invalid, or a URL or token is given without the other.
    pub fn find(
        flags: RemoteFlags,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, RemoteError> {
        let [url, token] =
            VARIABLES.map(|name| environment.get(name).filter(|value| !value.is_empty()));
        let given = flags.token.is_some() || flags.token_file.is_some();
        let Some(url) = flags.url.or(url.cloned()) else {
            return if given { Err(RemoteError::NoUrl) } else { Ok(None) };
        };
        let url = url.trim_end_matches('/').to_owned();
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_host = |rest: &str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
        if !host.is_some_and(is_host) {
            return Err(RemoteError::BadUrl(url));
        }
        let token = match (flags.token, flags.token_file) {
            (Some(token), _) => token,
            (None, Some(file)) => {
                let unreadable = |error: std::io::Error| RemoteError::Unreadable {
                    file: file.display().to_string(),
                    detail: error.to_string(),
                };
                fs::read_to_string(&file).map_err(unreadable)?
            }
            (None, None) => token.cloned().unwrap_or_default(),
        };
        let token = token.trim().to_owned();
        if token.is_empty() { Err(RemoteError::NoToken) } else { Ok(Some(Self { url, token })) }
    }

    /// Whether the token would cross a network unencrypted.
    #[must_use]
    pub fn is_open_to_listeners(&self) -> bool {
        let Some(rest) = self.url.strip_prefix("http://") else { return false };
        let name = match rest.strip_prefix('[') {
            Some(rest) => rest.split(']').next(),
            None => rest.split(':').next(),
        };
        let name = name.unwrap_or_default();
        let local = name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        !local && !name.eq_ignore_ascii_case("localhost")
    }
}

#[cfg(test)]
mod tests {
    use super::{Remote, RemoteError, RemoteFlags};
    use std::collections::BTreeMap;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn flags(url: &str, token: &str) -> RemoteFlags {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        RemoteFlags { url: some(url), token: some(token), token_file: None }
    }

    #[test]
    fn a_flag_wins_over_its_variable_and_without_either_the_machine_is_meant() {
        let variables = environment(&[("HQ_URL", "https://a.example/"), ("HQ_TOKEN", "one")]);
        let found = Remote::find(RemoteFlags::default(), &variables).unwrap().unwrap();
        assert_eq!((found.url.as_str(), found.token.as_str()), ("https://a.example", "one"));
        let found = Remote::find(flags("http://b.example:1", "two"), &variables).unwrap().unwrap();
        assert_eq!((found.url.as_str(), found.token.as_str()), ("http://b.example:1", "two"));
        assert!(Remote::find(RemoteFlags::default(), &environment(&[])).unwrap().is_none());
        let only_token = environment(&[("HQ_TOKEN", "one")]);
        assert!(Remote::find(RemoteFlags::default(), &only_token).unwrap().is_none());
    }

    #[test]
    fn a_token_may_lie_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "three\n").unwrap();
        let with = |file| RemoteFlags { token_file: Some(file), ..flags("https://a.example", "") };
        let found = Remote::find(with(file), &environment(&[])).unwrap().unwrap();
        assert_eq!(found.token, "three");
        let gone = Remote::find(with(folder.path().join("gone")), &environment(&[]));
        assert!(matches!(gone, Err(RemoteError::Unreadable { .. })));
    }

    #[test]
    fn half_of_what_is_needed_is_an_error() {
        let find = |flags| Remote::find(flags, &environment(&[])).err();
        assert_eq!(find(flags("https://a.example", "")), Some(RemoteError::NoToken));
        assert_eq!(find(flags("", "one")), Some(RemoteError::NoUrl));
        for bad in ["a.example", "ftp://a.example", "https://", "https://a.example/x", "http://u@a"]
        {
            assert!(matches!(find(flags(bad, "one")), Some(RemoteError::BadUrl(_))), "{bad}");
        }
    }

    #[test]
    fn an_unencrypted_way_is_known() {
        let open =
            |url: &str| Remote { url: url.to_owned(), token: String::new() }.is_open_to_listeners();
        assert!(
            open("http://a.example") && open("http://192.0.2.1:80") && open("http://[2001::1]")
        );
        for safe in
            ["https://a.example", "http://127.0.0.1:80", "http://[::1]:1", "http://localhost"]
        {
            assert!(!open(safe), "{safe}");
        }
    }
}
