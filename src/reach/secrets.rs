//! The values of secrets that a server's headers and variables name.

use app::Ws;
use net::guard::Hosts;
use net::message::Headers;
use url::Url;
use vault::model::{Category, Owner, Secret, Way};

use crate::config;
use crate::model::McpServer;
use crate::names;
use crate::oauth::Bearer;

/// A server's headers and variables with the values of their secrets.
pub struct Filled {
    pub headers: Headers,
    pub env: Vec<(String, String)>,
    /// Changes with the configuration and with each value. Reveals no value.
    pub wiring: String,
    /// Of the token in the headers; 0 without one.
    pub serial: u64,
}

impl Filled {
    /// Adds the token of a sign-in. Another sign-in changes the wiring, a refreshed token does not.
    pub fn sign(&mut self, bearer: &Bearer) {
        self.headers.set("authorization", format!("Bearer {}", bearer.token.reveal()));
        self.wiring = names::hex(&format!("{} {}", self.wiring, bearer.sign_in));
        self.serial = bearer.serial;
    }
}

/// Fills in the secrets. Blocking.
///
/// # Errors
/// Why a secret cannot be used, in a sentence.
pub fn fill(ws: &Ws, server: &McpServer) -> Result<Filled, String> {
    let header = |key: &str| value(ws, key, server, Part::Header);
    let mut headers = Headers::new();
    let mut wiring = server.fingerprint.clone();
    for line in &server.headers {
        let (name, text) = line.split_once(':').unwrap_or((line, ""));
        let text = config::filled(text.trim(), header)?;
        if text.contains(['\r', '\n', '\0']) {
            return Err(format!("The value of the header {name} contains a line break."));
        }
        wiring.push_str(&names::hex(&text));
        headers.add(name.trim(), text);
    }
    let (mut env, variable) = (Vec::new(), |key: &str| value(ws, key, server, Part::Variable));
    for line in &server.env {
        let (name, text) = line.split_once('=').unwrap_or((line, ""));
        let text = config::filled(text, variable)?;
        if text.contains('\0') {
            return Err(format!("The value of the variable {name} contains a zero byte."));
        }
        wiring.push_str(&names::hex(&text));
        env.push((name.to_owned(), text));
    }
    Ok(Filled { headers, env, wiring: names::hex(&wiring), serial: 0 })
}

/// The part of a configuration that names a secret.
#[derive(Clone, Copy)]
enum Part {
    Header,
    Variable,
}

/// The value of a secret of the whole workspace, which all agents have. One of an agent or a gateway is not used, because
/// all agents share the server.
fn value(ws: &Ws, key: &str, server: &McpServer, part: Part) -> Result<String, String> {
    let missing = || {
        format!(
            "The secret {key} doesn’t exist for the whole workspace. Add it in Settings → Secrets."
        )
    };
    let found = ws.read(|snap| {
        let Some(secret) = vault::queries::at(snap, key, Owner::All)? else { return Ok(None) };
        let value = vault::queries::value(snap, secret.id)?;
        Ok::<_, vault::error::VaultError>(value.map(|value| (secret, value)))
    });
    let found = found.map_err(|error| web::form::sentence(&error.to_string()))?;
    let (secret, value) = found.ok_or_else(missing)?;
    if secret.category != Category::User || secret.removed_at.is_some() {
        return Err(missing());
    }
    admit(&secret, server, part)?;
    let again = || format!("The secret {key} can’t be read. Enter its value again.");
    let opened = vault::values::open(&ws.app.keyring, secret.id, &value.sealed);
    // ok: the reason of the keyring is not for people; the value has to be entered again.
    let opened = opened.map_err(|_| again())?;
    opened.expose_text().map(str::to_owned).map_err(|_| again())
}

/// Checks the secret's own rules. A program can send a variable to each of its hosts.
fn admit(secret: &Secret, server: &McpServer, part: Part) -> Result<(), String> {
    if secret.plain {
        return Ok(());
    }
    let key = &secret.key;
    if matches!(part, Part::Variable) && secret.way != Way::Value {
        return Err(format!(
            "Programs can’t have the value of the secret {key}. Choose “As a variable” in Settings → Secrets."
        ));
    }
    if secret.hosts.is_empty() {
        return Ok(());
    }
    let hosts = Hosts::of(vec![secret.hosts.clone()]);
    let is_allowed = match part {
        Part::Header => Url::parse(&server.url).is_ok_and(|at| hosts.check(&at).is_ok()),
        Part::Variable => {
            let is_open = |line: &String| {
                Url::parse(&format!("http://{line}/")).is_ok_and(|at| hosts.check(&at).is_ok())
            };
            server.hosts.iter().all(|line| covers(&secret.hosts, line))
                && server.open_hosts.iter().all(is_open)
        }
    };
    match is_allowed {
        true => Ok(()),
        false => {
            let hosts = secret.hosts.join(", ");
            Err(format!(
                "The secret {key} can only be sent to {hosts}, but the server has other hosts."
            ))
        }
    }
}

/// Whether these lines of hosts admit all hosts of a line.
fn covers(lines: &[String], line: &str) -> bool {
    // `*.a.example` is within `*.example` just as `a.example` is.
    let name = line.strip_prefix("*.").unwrap_or(line);
    let is_wide = name != line;
    lines.iter().any(|own| match own.strip_prefix("*.") {
        _ if own == line => true,
        Some(_) => Hosts::of(vec![vec![own.clone()]]).has(name),
        None => !is_wide && Hosts::of(vec![vec![own.clone()]]).has(name),
    })
}

#[cfg(test)]
mod tests {
    use store::Record as _;
    use vault::model::{Secret, Way};

    use super::{Part, admit};
    use crate::model::McpServer;

    fn secret(way: Way, hosts: &[&str]) -> Secret {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Secret { way, hosts, ..Secret::sample() }
    }

    fn program(hosts: &[&str], open: &[&str]) -> McpServer {
        let lines = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        McpServer { hosts: lines(hosts), open_hosts: lines(open), ..McpServer::sample() }
    }

    #[test]
    fn a_program_gets_only_values_that_programs_may_have() {
        let server = program(&[], &[]);
        for (way, is_allowed) in [(Way::Value, true), (Way::StandIn, false), (Way::Requests, false)]
        {
            let admitted = admit(&secret(way, &[]), &server, Part::Variable);
            assert_eq!(admitted.is_ok(), is_allowed, "{way:?}");
            let plain = Secret { plain: true, ..secret(way, &["a.example"]) };
            assert!(admit(&plain, &server, Part::Variable).is_ok());
        }
    }

    #[test]
    fn a_secret_goes_only_to_its_hosts() {
        let may = |own: &[&str], hosts: &[&str], open: &[&str]| {
            admit(&secret(Way::Value, own), &program(hosts, open), Part::Variable).is_ok()
        };
        assert!(may(&["api.github.com"], &["api.github.com"], &[]));
        assert!(may(&["*.github.com"], &["api.github.com", "*.api.github.com"], &[]));
        assert!(may(&["10.0.0.5"], &[], &["10.0.0.5:8080"]));
        assert!(may(&["api.github.com"], &[], &[]));
        assert!(!may(&["api.github.com"], &["evil.example"], &[]));
        assert!(!may(&["api.github.com"], &["api.github.com", "evil.example"], &[]));
        assert!(!may(&["api.github.com"], &["*.api.github.com"], &[]));
        assert!(!may(&["*.api.github.com"], &["*.github.com"], &[]));
        assert!(!may(&["api.github.com"], &[], &["10.0.0.5"]));
        let at = |url: &str| McpServer { url: url.into(), ..program(&[], &[]) };
        let one = secret(Way::Requests, &["api.github.com"]);
        assert!(admit(&one, &at("https://api.github.com/mcp"), Part::Header).is_ok());
        assert!(admit(&one, &at("https://evil.example/mcp"), Part::Header).is_err());
    }
}
