//! Secrets on their way to programs and requests: which of them an agent has here, and the note that it used them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use kernel::text::cut;
use kernel::{Actor, Cause};
use tool::{ToolCx, ToolError};
use vault::Given;
use vault::model::Way;
use vault::rules::Used;

use crate::command::orders::SecretsUsed;
use crate::port::Port;
use crate::way_out;

/// A variable of a program.
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) value: OsString,
}

/// What programs of a call get of these in their environment: all that are given as variables, and of those that only
/// some programs get the ones that are named here; of those that stand-ins stand for, what their way out knows. What
/// cannot be opened any more is left out, unless it is named.
pub(super) async fn of(
    cx: &ToolCx,
    named: &[String],
    mut all: Vec<Given>,
    way: Option<&way_out::Way>,
) -> Result<Vec<Variable>, ToolError> {
    let stand_ins: Vec<_> = way.into_iter().flat_map(way_out::Way::stand_ins).collect();
    for key in named {
        let one = all.iter().find(|one| one.key == *key).ok_or_else(|| unknown(key))?;
        readable(one)?;
        let told = match one.way {
            Way::Value => continue,
            Way::StandIn if stand_ins.iter().any(|(name, _)| name == key) => continue,
            Way::StandIn => "has no stand-in here: programs have one that have the network",
            Way::Requests => "is not for programs: http_request sends it to its hosts",
        };
        return Err(ToolError::refused("denied", format!("{key} {told}")));
    }
    all.retain(|one| {
        one.way == Way::Value && one.value.is_ok() && (!one.named_only || named.contains(&one.key))
    });
    note(cx, &all, "").await?;
    let variable = |one: Given| {
        let value = one.value.ok()?; // ok: those that do not open were taken out
        Some(Variable { key: one.key, value: OsString::from_vec(value.expose().to_vec()) })
    };
    let stand_in = |(key, word): (&str, &str)| Variable { key: key.into(), value: word.into() };
    let stand_ins = stand_ins.into_iter().map(stand_in);
    Ok(all.into_iter().filter_map(variable).chain(stand_ins).collect())
}

/// Refuses what cannot be opened any more.
pub(super) fn readable(one: &Given) -> Result<(), ToolError> {
    match &one.value {
        Ok(_) => Ok(()),
        Err(_) => Err(ToolError::refused(
            "unavailable",
            format!("{} cannot be read any more; ask a person to enter it again", one.key),
        )),
    }
}

pub(super) fn unknown(key: &str) -> ToolError {
    let told = format!("you have no secret {}; secret_list names yours", cut(key.trim(), 128));
    ToolError::refused("not_found", told)
}

/// Notes, before anything is begun, which secrets are used and where they go.
pub(super) async fn note(cx: &ToolCx, given: &[Given], host: &str) -> Result<(), ToolError> {
    let uses: Vec<Used> = given
        .iter()
        .filter(|one| !one.plain)
        .map(|one| Used {
            secret: one.id,
            version: one.version,
            run: cx.run,
            agent: cx.agent,
            task: cx.task,
            way: if host.is_empty() { one.way } else { Way::Requests },
            host: host.to_owned(),
        })
        .collect();
    if uses.is_empty() {
        return Ok(());
    }
    let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
    cx.ws.order(by, SecretsUsed { uses }).await?;
    Ok(())
}
