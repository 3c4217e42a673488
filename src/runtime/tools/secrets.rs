//! Secrets for programs and requests: which of them an agent has here, and the record of their use.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use kernel::text::cut;
use kernel::{Actor, Cause, env_names};
use tokio::sync::oneshot;
use tool::{ToolCx, ToolError};
use vault::Given;
use vault::model::{Use, Way};
use vault::queries;
use vault::rules::Used;

use crate::command::orders::SecretsUsed;
use crate::port::Port;
use crate::way_out;

/// Most recorded uses of a run that are read; other uses are recorded as if they were new.
const MOST: usize = 200;

/// An environment variable of a program.
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) value: OsString,
}

/// The secrets in the environment of a call's programs: those given to all programs, the named ones, and the
/// placeholder tokens of the egress proxy. Secrets that cannot be opened, and names by which programs load or run code,
/// are left out; the call is refused if it names one of them. Also returns the record of their uses.
pub(super) async fn of(
    cx: &ToolCx,
    named: &[String],
    mut all: Vec<Given>,
    way: Option<&way_out::Way>,
) -> Result<(Vec<Variable>, Noting), ToolError> {
    let stand_ins: Vec<_> = way.into_iter().flat_map(way_out::Way::stand_ins).collect();
    if let Some((key, why)) = named.iter().find_map(|key| Some((key, env_names::reserved(key)?))) {
        return Err(ToolError::refused("denied", format!("{key} is not given to programs: {why}")));
    }
    for key in named {
        let one = all.iter().find(|one| one.key == *key).ok_or_else(|| unknown(key))?;
        readable(one)?;
        let reason = match one.way {
            Way::Value => continue,
            Way::StandIn if stand_ins.iter().any(|(name, _)| name == key) => continue,
            Way::StandIn => "has no placeholder here: only programs with network access get one",
            Way::Requests => "isn't for programs: use http_request, which sends it to its hosts",
        };
        return Err(ToolError::refused("denied", format!("{key} {reason}")));
    }
    all.retain(|one| {
        one.way == Way::Value && one.value.is_ok() && (!one.named_only || named.contains(&one.key))
    });
    let left_out: Vec<String> = all
        .extract_if(.., |one| env_names::reserved(&one.key).is_some())
        .map(|one| one.key)
        .chain(stand_ins.iter().map(|(key, _)| (*key).to_owned()))
        .filter(|key| env_names::reserved(key).is_some())
        .collect();
    let noting = Noting { left_out, ..begin_note(cx, &all).await? };
    let variable = |one: Given| {
        let value = one.value.ok()?; // ok: secrets that do not open were removed above
        Some(Variable { key: one.key, value: OsString::from_vec(value.expose().to_vec()) })
    };
    let stand_in = |(key, word): (&str, &str)| Variable { key: key.into(), value: word.into() };
    let stand_ins = stand_ins.into_iter().filter(|(key, _)| env_names::reserved(key).is_none());
    let stand_ins = stand_ins.map(stand_in);
    Ok((all.into_iter().filter_map(variable).chain(stand_ins).collect(), noting))
}

/// Refuses a secret that cannot be opened any more.
pub(super) fn readable(one: &Given) -> Result<(), ToolError> {
    match &one.value {
        Ok(_) => Ok(()),
        Err(_) => Err(ToolError::refused(
            "unavailable",
            format!("{} can't be read any more; ask a person to enter it again", one.key),
        )),
    }
}

pub(super) fn unknown(key: &str) -> ToolError {
    let text = format!("you have no secret {}; secret_list names yours", cut(key.trim(), 128));
    ToolError::refused("not_found", text)
}

/// Records, before anything is sent, which secrets are used and to which host they go.
pub(super) async fn note(cx: &ToolCx, given: &[Given], host: &str) -> Result<(), ToolError> {
    write_down(cx, uses_of(cx, given, host)).await
}

fn uses_of(cx: &ToolCx, given: &[Given], host: &str) -> Vec<Used> {
    let secrets = given.iter().filter(|one| !one.plain);
    let used = |one: &Given| Used {
        secret: one.id,
        version: one.version,
        run: cx.run,
        agent: cx.agent,
        task: cx.task,
        way: if host.is_empty() { one.way } else { Way::Requests },
        host: host.to_owned(),
    };
    secrets.map(used).collect()
}

fn by(cx: &ToolCx) -> (Actor, Cause) {
    (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step))
}

async fn write_down(cx: &ToolCx, uses: Vec<Used>) -> Result<(), ToolError> {
    if !uses.is_empty() {
        cx.ws.order(by(cx), SecretsUsed { uses }).await?;
    }
    Ok(())
}

/// The record of uses that is written while the program runs.
pub(super) struct Noting {
    written: Option<oneshot::Receiver<()>>,
    /// Variables that the program did not get because of their names.
    left_out: Vec<String>,
}

impl Noting {
    fn begin(cx: &ToolCx, uses: Vec<Used>) -> Self {
        if uses.is_empty() {
            return Self { written: None, left_out: Vec::new() };
        }
        let (tell, written) = oneshot::channel();
        let (own, run, by) = (cx.ws.clone(), cx.run, by(cx));
        cx.ws.spawn("uses of secrets", async move {
            if let Err(error) = own.order(by, SecretsUsed { uses }).await {
                tracing::error!(%error, run.id = %run, "uses of secrets could not be counted");
            }
            // ok: no receiver waits any more.
            let _ = tell.send(());
        });
        Self { written: Some(written), left_out: Vec::new() }
    }

    /// A note for the program's output about variables that were left out; empty if there are none.
    pub(super) fn left_out(&self) -> String {
        match self.left_out.as_slice() {
            [] => String::new(),
            keys => format!(
                "\n[not in the environment: {}, which would change what programs run or load; a \
                 person can add it under another name]",
                keys.join(", ")
            ),
        }
    }

    /// Waits until the record is written.
    pub(super) async fn noted(self) {
        if let Some(written) = self.written {
            written.await.ok(); // ok: a failed write is in the log
        }
    }
}

/// Records that a program is about to use these secrets. Uses that are new in the run are written before the program
/// starts. For repeated ones only a counter grows, while the program runs.
async fn begin_note(cx: &ToolCx, given: &[Given]) -> Result<Noting, ToolError> {
    let uses = uses_of(cx, given, "");
    let noted = match cx.ws.upstream {
        None if !uses.is_empty() => cx.ws.read(|snap| queries::used_in(snap, cx.run, MOST))?,
        // Only the primary has the records.
        _ => Vec::new(),
    };
    let is_noted = |one: &Used| noted.iter().any(|row| is_row_of(row, one));
    let (repeated, new): (Vec<Used>, Vec<Used>) = uses.into_iter().partition(is_noted);
    write_down(cx, new).await?;
    Ok(Noting::begin(cx, repeated))
}

fn is_row_of(row: &Use, one: &Used) -> bool {
    (row.secret, row.version, row.way) == (one.secret, one.version, one.way) && row.host == one.host
}
