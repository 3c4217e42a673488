//! Enters the newest version into commands that run a package without one, so that a person approves exactly this
//! version. What a registry answers is untrusted: only a plain exact version is taken.

use std::time::Duration;

use app::Ws;
use app::config::Registries;
use entity::Values;
use kernel::Error;
use net::client::HttpClient;
use net::guard;
use net::message::{Method, Policy, Request, Timeouts};
use serde::Deserialize;
use serde_json::{Value, json};
use store::ReadExt as _;

use crate::model::{McpServer, McpServerId};
use crate::ops;
use crate::pins::{self, Open, Registry};

const TIMES: Timeouts = Timeouts {
    headers: Duration::from_secs(15),
    idle: Duration::from_secs(10),
    total: Some(Duration::from_secs(30)),
};
/// Maximum size of an answer. An index of Python packages lists the files of all versions.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Answer of npm to `/<package>/latest`.
#[derive(Deserialize)]
struct NpmAnswer {
    version: String,
}

/// Answer of the JSON API of PyPI to `/pypi/<package>/json`.
#[derive(Deserialize)]
struct PypiAnswer {
    info: PypiInfo,
}

#[derive(Deserialize)]
struct PypiInfo {
    version: String,
}

/// Replaces packages without a version in a sent command. Waits for the registries.
pub(crate) fn complete(ws: &Ws, key: Option<&[u8]>, mut values: Values) -> Result<Values, Error> {
    let Some(lines) = values.get("command").and_then(Value::as_array) else { return Ok(values) };
    let command: Vec<String> = lines.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let command = match pins::open(&command) {
        Some(open) => {
            check_variables(ws, key, &values, &open)?;
            let late =
                "The registry didn’t answer in time. Try again, or write the version yourself.";
            ops::wait(pinned(ws, command), refused(late.to_owned()))??
        }
        None => command,
    };
    if let Some(why) = pins::unpinned(&command) {
        return Err(refused(why));
    }
    values.insert("command".to_owned(), json!(command));
    Ok(values)
}

/// Refuses a package without a version if the server's variables name another registry than the one that HQ asks.
fn check_variables(ws: &Ws, key: Option<&[u8]>, values: &Values, open: &Open) -> Result<(), Error> {
    let id = key.and_then(kernel::key::decode::<McpServerId>);
    let stored: Vec<String> = match id.filter(|_| !values.contains_key("env")) {
        Some(id) => {
            let server = ws.read(|snap| snap.get::<McpServer>(id))?;
            server.map(|server| server.env).unwrap_or_default()
        }
        None => Vec::new(),
    };
    let sent = values.get("env").and_then(Value::as_array).into_iter().flatten();
    let sent = sent.filter_map(Value::as_str);
    let lines: Vec<&str> = stored.iter().map(String::as_str).chain(sent).collect();
    match pins::elsewhere(&lines) {
        None => Ok(()),
        Some(name) => {
            let why = format!(
                "HQ doesn’t look up the newest one, because {name} can name another registry."
            );
            Err(refused(open.refusal(&why)))
        }
    }
}

fn refused(why: String) -> Error {
    Error::field("command", why).with_code("mcp_unpinned")
}

/// The command with an exact version of each package that has none.
async fn pinned(ws: &Ws, mut command: Vec<String>) -> Result<Vec<String>, Error> {
    while let Some(open) = pins::open(&command) {
        let looked_up = newest(ws, &open).await;
        let next = looked_up.and_then(|(host, version)| {
            let pinned = open.pinned(&command, &version);
            pinned.ok_or_else(|| format!("{host} named no exact version"))
        });
        command = next.map_err(|why| {
            refused(open.refusal(&format!("HQ couldn’t look up the newest one: {why}.")))
        })?;
    }
    Ok(command)
}

/// The host of the registry and the newest version that it names, or why there is none.
async fn newest(ws: &Ws, open: &Open) -> Result<(String, String), String> {
    let registries = &ws.app.config.registries;
    let name = &open.name;
    let (base, path) = match open.registry {
        // The slash of a scope is part of the name.
        Registry::Npm => (&registries.npm, format!("{}/latest", name.replace('/', "%2F"))),
        Registry::Pypi => (&registries.pypi, format!("pypi/{name}/json")),
    };
    let url = guard::parse(&format!("{base}/{path}")).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let request = Request::new(Policy::Guarded, Method::Get, url.as_str())
        .header("accept", "application/json")
        .timeouts(TIMES)
        .max_body(MAX_BYTES);
    let response = client(ws, base).request(request).await.map_err(|error| error.to_string())?;
    match response.status {
        200..300 => {}
        404 | 410 => return Err(format!("{host} has no package named {name}")),
        status => return Err(format!("{host} answered with status {status}")),
    }
    let body = response.body.bytes().await.map_err(|error| error.to_string())?;
    let version = match open.registry {
        Registry::Npm => serde_json::from_slice::<NpmAnswer>(&body).map(|answer| answer.version),
        Registry::Pypi => {
            serde_json::from_slice::<PypiAnswer>(&body).map(|answer| answer.info.version)
        }
    };
    match version {
        Ok(version) => Ok((host, version)),
        Err(error) => {
            tracing::debug!(%error, "a registry of packages sent something else than a version");
            Err(format!("{host} named no version"))
        }
    }
}

/// A client for a registry. A configured mirror may be in a private network; the public registries may not.
fn client(ws: &Ws, base: &str) -> HttpClient {
    let usual = Registries::default();
    let is_usual = [usual.npm.as_str(), usual.pypi.as_str()].contains(&base);
    match is_usual {
        true => ws.app.http.clone(),
        false => ws.app.http.opening_host_of(base),
    }
}
