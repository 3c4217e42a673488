//! Configuration of a server: checks, the fingerprint that approvals are bound to, and references to secrets.

use std::path::{Component, Path};

use kernel::{Error, FieldError};
use net::guard::{self, Hosts, Opened};
use serde_json::json;

use crate::model::McpServer;
use crate::names;

/// References to secrets: `{{secret:KEY}}`.
const SECRET: (&str, &str) = ("{{secret:", "}}");
/// Longest name of a server. Names of tools begin with it.
const MAX_NAME: usize = 32;
/// Variables that the jail sets.
const FIXED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "CDPATH", "BASH_ENV"];
/// Headers that the protocol and HTTP set.
const OWN_HEADERS: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// System folders that a server may not get, because they show other processes or devices.
const CLOSED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Folders in memory are ordinary ones.
const MEMORY: &str = "/dev/shm";

/// SHA-256 of everything that decides what the server is and what it may do.
#[must_use]
pub fn fingerprint(server: &McpServer) -> String {
    let McpServer { url, headers, command, env, read, write, hosts, open_hosts, .. } = server;
    names::hex(&mcp::wire::canonical(&json!({
        "url": url, "headers": headers, "command": command, "env": env, "read": read,
        "write": write, "hosts": hosts, "open_hosts": open_hosts,
    })))
}

/// The lines of the configuration, for a page that shows what changed.
#[must_use]
pub fn describe(server: &McpServer) -> String {
    let mut lines = Vec::new();
    let mut line = |label: &str, values: &[String]| {
        lines.extend(values.iter().map(|value| format!("{label}: {}", names::visible(value))));
    };
    line("Address", if server.url.is_empty() { &[] } else { std::slice::from_ref(&server.url) });
    line("Header", &server.headers);
    line("Program", server.command.get(..1).unwrap_or_default());
    line("Argument", server.command.get(1..).unwrap_or_default());
    line("Variable", &server.env);
    line("Folder to read", &server.read);
    line("Folder to change", &server.write);
    line("Host", &server.hosts);
    line("Private host", &server.open_hosts);
    lines.join("\n")
}

/// Checks a configuration and brings it into its normal form.
///
/// # Errors
/// All wrong fields.
pub fn check(server: &mut McpServer) -> Result<(), Error> {
    let mut wrong: Vec<FieldError> = Vec::new();
    let mut refuse = |field: &str, message: &str| wrong.push(FieldError::new(field, message));
    if !is_name(&server.name) {
        refuse("name", "Use up to 32 small letters, digits and hyphens.");
    }
    match (server.url.is_empty(), server.command.is_empty()) {
        (true, true) => refuse("url", "Enter an address or a command."),
        (false, false) => refuse("command", "Enter an address or a command, not both."),
        (false, true) => {
            let program = [
                ("env", &server.env),
                ("read", &server.read),
                ("write", &server.write),
                ("hosts", &server.hosts),
            ];
            for (field, _) in program.iter().filter(|(_, lines)| !lines.is_empty()) {
                refuse(field, "Only a command has this. Leave it empty for an address.");
            }
        }
        (true, false) if !server.headers.is_empty() => {
            refuse("headers", "Only an address has headers. Use variables for a command.");
        }
        (true, false) => {}
    }
    for (field, lines, line) in [
        ("hosts", &mut server.hosts, Hosts::line as fn(&str) -> Option<String>),
        ("open_hosts", &mut server.open_hosts, Opened::line as fn(&str) -> Option<String>),
    ] {
        let normal: Option<Vec<String>> = lines.iter().map(|one| line(one)).collect();
        match normal {
            Some(normal) => *lines = normal,
            None => refuse(field, "Enter hosts such as api.example.com or 10.0.0.5:8080."),
        }
    }
    if let Err(message) = check_url(&server.url, &server.open_hosts) {
        refuse("url", &message);
    }
    let mut pairs = |field: &str, lines: &mut Vec<String>, is_right: fn(&str, &str) -> bool| {
        let (cut, form): (&[char], _) = match field {
            "env" => (&['='], "Enter each as KEY=value."),
            _ => (&[':', '='], "Enter each as Name: value."),
        };
        for line in lines.iter_mut() {
            match line.split_once(cut) {
                Some((name, value)) if is_right(name.trim(), value.trim()) => {
                    let (name, value) = (name.trim(), value.trim());
                    let normal = if field == "env" { "=" } else { ": " };
                    *line = format!("{name}{normal}{value}");
                }
                _ => refuse(field, form),
            }
        }
        let has_open = |line: &String| secrets_in(line).any(|key| key.is_none());
        if lines.iter().any(has_open) {
            refuse(field, "Write a secret as {{secret:KEY}}.");
        }
    };
    pairs("headers", &mut server.headers, is_header);
    pairs("env", &mut server.env, is_variable);
    for (field, folders) in [("read", &server.read), ("write", &server.write)] {
        if folders.iter().any(|folder| !is_folder(folder)) {
            refuse(
                field,
                "Enter whole paths, such as /srv/files, outside of /dev, /proc and /sys.",
            );
        }
    }
    match wrong.is_empty() {
        true => {
            server.fingerprint = fingerprint(server);
            Ok(())
        }
        false => Err(Error::invalid(wrong)),
    }
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// An address without a secret in it: it appears on pages and in logs. Only a private host has no TLS.
fn check_url(url: &str, open_hosts: &[String]) -> Result<(), String> {
    if url.is_empty() {
        return Ok(());
    }
    if url.contains(SECRET.0) {
        return Err("Put secrets in headers, not in the address.".to_owned());
    }
    let parsed = guard::parse(url).and_then(|url| guard::check_shape(&url).map(|()| url));
    let parsed = parsed.map_err(|error| web::form::sentence(&error.to_string()))?;
    match parsed.scheme() == "https" || Opened::of(open_hosts).has(&parsed) {
        true => Ok(()),
        false => Err("Use https, or enter the host as a private host.".to_owned()),
    }
}

fn is_header(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let lower = name.to_ascii_lowercase();
    let is_ours = OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("mcp-");
    let is_text = value.chars().all(|c| !c.is_control());
    !name.is_empty() && name.bytes().all(token) && !is_ours && is_text
}

fn is_variable(name: &str, _: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let upper = name.to_uppercase();
    let is_ours = FIXED.contains(&upper.as_str())
        || ["HQ_", "LD_"].iter().any(|start| upper.starts_with(start))
        || upper.ends_with("_PROXY");
    let starts = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    starts && name.bytes().all(plain) && !is_ours
}

/// An absolute path without `..` that is no root of the system.
fn is_folder(path: &str) -> bool {
    let path = Path::new(path);
    let is_plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let is_in_memory = path.starts_with(MEMORY) && path != Path::new(MEMORY);
    let is_closed = !is_in_memory && CLOSED.iter().any(|closed| path.starts_with(closed));
    path.is_absolute() && is_plain && path.parent().is_some() && !is_closed
}

/// The names of the secrets in a text; `None` for a reference without an end.
pub fn secrets_in(text: &str) -> impl Iterator<Item = Option<&str>> {
    let parts = text.split(SECRET.0).skip(1);
    parts.map(|part| part.split_once(SECRET.1).map(|(key, _)| key.trim()))
}

/// The text with the values of its secrets. References inside a value are not replaced.
pub fn filled<E>(text: &str, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut parts = text.split(SECRET.0);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (key, rest) = part.split_once(SECRET.1).unwrap_or((part, ""));
        out.push_str(&value(key.trim())?);
        out.push_str(rest);
    }
    Ok(out)
}

/// The keys of all secrets of a server, without duplicates.
#[must_use]
pub fn secrets_of(server: &McpServer) -> Vec<String> {
    let lines = server.headers.iter().chain(&server.env);
    let mut keys: Vec<String> =
        lines.flat_map(|line| secrets_in(line)).flatten().map(str::to_owned).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use store::Record as _;

    use super::{check, filled, secrets_of};
    use crate::model::McpServer;

    fn program(command: &[&str]) -> McpServer {
        McpServer {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            headers: Vec::new(),
            ..McpServer::sample()
        }
    }

    fn at(url: &str, open: &[&str]) -> McpServer {
        McpServer {
            url: url.to_owned(),
            open_hosts: open.iter().map(|host| (*host).to_owned()).collect(),
            headers: vec!["authorization=Bearer {{secret:KEY}}".to_owned()],
            ..McpServer { env: vec![], read: vec![], write: vec![], hosts: vec![], ..program(&[]) }
        }
    }

    fn wrong(mut server: McpServer) -> Vec<String> {
        let error = check(&mut server).err();
        error
            .map(|error| kernel::Problem::fields(&error))
            .unwrap_or_default()
            .into_iter()
            .map(|one| one.field.to_string())
            .collect()
    }

    #[test]
    fn a_server_is_an_address_or_a_command() {
        assert_eq!(wrong(program(&["node", "server.js"])), [""; 0]);
        assert_eq!(wrong(at("https://mcp.example.com/mcp", &[])), [""; 0]);
        assert_eq!(wrong(at("http://10.0.0.5:8080/mcp", &["10.0.0.5:8080"])), [""; 0]);
        assert_eq!(wrong(at("http://mcp.example.com/mcp", &[])), ["url"]);
        assert_eq!(wrong(at("", &[])), ["url", "headers"][..1]);
        assert_eq!(
            wrong(McpServer { url: "https://a.example".into(), ..program(&["a"]) }),
            ["command"]
        );
        assert_eq!(wrong(at("https://a.example/?k={{secret:K}}", &[])), ["url"]);
    }

    #[test]
    fn what_decides_about_the_jail_is_refused() {
        for (env, read, name) in [
            ("LD_PRELOAD=/x", "/srv", "files"),
            ("https_proxy=x", "/srv", "files"),
            ("A=1", "/proc/1", "files"),
            ("A=1", "/", "files"),
            ("A=1", "/srv/../etc", "files"),
            ("A=1", "srv", "files"),
            ("A=1", "/srv", "My Files"),
        ] {
            let server = McpServer {
                env: vec![env.into()],
                read: vec![read.into()],
                name: name.into(),
                ..program(&["node"])
            };
            assert_eq!(wrong(server).len(), 1, "{env} {read} {name}");
        }
        let header = |line: &str| McpServer {
            headers: vec![line.to_owned()],
            ..at("https://a.example/mcp", &[])
        };
        for line in ["Host: b", "Mcp-Method: x", "a b: c", "X-A", "X: {{secret:A"] {
            assert_eq!(wrong(header(line)), ["headers"], "{line}");
        }
    }

    #[test]
    fn the_fingerprint_covers_what_the_server_is_and_nothing_else() {
        let mut one = program(&["node", "server.js"]);
        check(&mut one).unwrap();
        let same = |mut other: McpServer| {
            check(&mut other).unwrap();
            other.fingerprint == one.fingerprint
        };
        assert!(same(McpServer { is_enabled: false, agents: vec![], ..one.clone() }));
        assert!(!same(McpServer { read: vec!["/srv/other".into()], ..one.clone() }));
        assert!(!same(McpServer { command: vec!["node".into(), "b.js".into()], ..one.clone() }));
        assert!(!same(McpServer { hosts: vec!["b.example".into()], ..one.clone() }));
    }

    #[test]
    fn secrets_are_filled_in_once() {
        let value = |key: &str| match key {
            "A" => Ok("{{secret:B}}".to_owned()),
            key => Err(key.to_owned()),
        };
        assert_eq!(filled("x {{secret:A}} y", value), Ok("x {{secret:B}} y".to_owned()));
        assert_eq!(filled("{{secret:C}}", value), Err("C".to_owned()));
        let server = at("https://a.example/mcp", &[]);
        assert_eq!(secrets_of(&server), ["KEY"]);
    }
}
