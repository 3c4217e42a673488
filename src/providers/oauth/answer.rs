//! Browser sign-in: the authorization URL, and the response, received or pasted.

use url::Url;

use super::{AuthError, Client, Failure};

/// Maximum length of a response.
const LONGEST: usize = 8 * 1024;

/// The URL where a person signs in.
///
/// # Errors
/// If the client has no valid authorization endpoint.
pub fn authorize_url(client: &Client, challenge: &str, state: &str) -> Result<String, AuthError> {
    let wrong = |_| AuthError::new(Failure::Refused, "the address of the sign-in page is invalid");
    let mut url = Url::parse(&client.endpoints.authorize).map_err(wrong)?;
    let about = client.vendor.about();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &client.id)
        .append_pair("redirect_uri", &client.endpoints.redirect)
        .append_pair("scope", about.scope)
        .append_pair("code_challenge", challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", state)
        .extend_pairs(about.more);
    Ok(url.into())
}

/// The authorization response.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: String,
    /// State parameter, which must equal the one sent; `None` for a bare code.
    pub state: Option<String>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer(…)")
    }
}

/// Parses pasted text: the whole redirect URL, its query, `code#state`, or a bare code.
///
/// # Errors
/// If it is none of these, or reports a refusal by the person or the vendor.
pub fn read(pasted: &str) -> Result<Answer, AuthError> {
    let pasted = pasted.trim();
    let unread = |message: &str| AuthError::new(Failure::Refused, message);
    if pasted.is_empty() {
        return Err(unread("paste the address your browser shows after the sign-in"));
    }
    if LONGEST < pasted.len() {
        return Err(unread("this is too long to be an address or a code"));
    }
    let query = match pasted.split_once('?') {
        Some((_, query)) => query,
        None if pasted.contains("code=") || pasted.contains("error=") => pasted,
        None if pasted.contains("://") => {
            return Err(unread(
                "this address has no code; paste the one your browser shows after the sign-in",
            ));
        }
        None => {
            let (code, state) = match pasted.split_once('#') {
                Some((code, state)) => (code, Some(state.to_owned())),
                None => (pasted, None),
            };
            return code_of(code, state);
        }
    };
    let query = query.split('#').next().unwrap_or(query);
    let (mut code, mut state, mut error, mut why) = (None, None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "code" => code = Some(value.into_owned()),
            "state" => state = Some(value.into_owned()),
            "error" => error = Some(value.into_owned()),
            "error_description" => why = Some(value.into_owned()),
            _ => {}
        }
    }
    if let Some(error) = error {
        let failure = if error == "access_denied" { Failure::Denied } else { Failure::Refused };
        let message = why.unwrap_or(error);
        return Err(AuthError::new(failure, super::flows::tidy(&message)));
    }
    // A URL is only accepted with its state.
    let (Some(code), Some(state)) = (code, state) else {
        return Err(unread("this address is incomplete; paste all of it, with code and state"));
    };
    code_of(&code, Some(state))
}

fn code_of(code: &str, state: Option<String>) -> Result<Answer, AuthError> {
    let fits = !code.is_empty() && code.chars().all(|c| c.is_ascii_graphic());
    match fits {
        true => Ok(Answer { code: code.to_owned(), state }),
        false => Err(AuthError::new(Failure::Refused, "this isn't an address or a code")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Endpoints, Vendor};
    use super::*;

    #[test]
    fn the_browser_is_sent_with_all_that_is_needed() {
        let vendor = Vendor::ChatGpt;
        let client =
            Client { vendor, id: "me".into(), integration: None, endpoints: Endpoints::of(vendor) };
        let url = authorize_url(&client, "hash", "word").expect("an address");
        let url = Url::parse(&url).expect("an address");
        assert_eq!(url.host_str(), Some("auth.openai.com"));
        let of = |name: &str| {
            url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
        };
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "me"),
            ("redirect_uri", "http://localhost:1455/auth/callback"),
            ("scope", "openid profile email offline_access"),
            ("code_challenge", "hash"),
            ("code_challenge_method", "S256"),
            ("state", "word"),
        ] {
            assert_eq!(of(name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn whatever_people_paste_is_read() {
        let ok = |text: &str| read(text).map(|a| (a.code, a.state)).map_err(|e| e.failure);
        let both = |code: &str, state: &str| Ok((code.to_owned(), Some(state.to_owned())));
        assert_eq!(
            ok(" http://localhost:1455/auth/callback?code=a%2Bb&state=s \n"),
            both("a+b", "s")
        );
        assert_eq!(ok("http://localhost:1455/cb?state=s&code=a&scope=x#top"), both("a", "s"));
        assert_eq!(ok("?code=a&state=s"), both("a", "s"));
        assert_eq!(ok("code=a&state=s"), both("a", "s"));
        assert_eq!(ok("a#s"), both("a", "s"));
        assert_eq!(ok("ac_123"), Ok(("ac_123".to_owned(), None)));
        for wrong in [
            "",
            "two words",
            "http://localhost:1455/auth/callback",
            "http://localhost:1455/auth/callback?code=a",
            "http://localhost:1455/auth/callback?state=s",
            "#",
        ] {
            assert_eq!(ok(wrong), Err(Failure::Refused), "{wrong}");
        }
        let long = "x".repeat(9_000);
        assert_eq!(ok(&long), Err(Failure::Refused));
        let denied = read("http://h/cb?error=access_denied&error_description=You+said+no&state=s");
        let denied = denied.expect_err("a refusal");
        assert_eq!((denied.failure, denied.message.as_str()), (Failure::Denied, "You said no"));
        assert_eq!(ok("error=server_error&state=s"), Err(Failure::Refused));
    }
}
