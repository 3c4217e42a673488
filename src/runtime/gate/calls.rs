//! The reach of a call, and the secrets that it uses.

use serde_json::Value;

use features::agents::queries::reach;
use features::trust::authorize::{self, Reach};
use features::trust::queries::places;
use kernel::AgentId;
use tool::Effect;
use tool::registry::Entry;

use super::terms;
use crate::EngineError;
use crate::tools::request;
use crate::turn::Turn;

/// Actions of `process` that do not send anything to the program.
const PROCESS_LOOKS: &[&str] = &["list", "poll", "log", "kill", "clear", "remove"];

impl Turn {
    /// Effect and reach of a call, before the check of identity files.
    pub(super) fn reach_of(
        &self,
        (entry, given): (&Entry, &Value),
        agents: &[AgentId],
        mut programs: Reach,
    ) -> Result<(Effect, Reach), EngineError> {
        let (name, effect) = (&*entry.spec.name, entry.spec.effect);
        let is_cut_off = self.setting.child.as_ref().is_some_and(|child| !child.may_network);
        if is_cut_off && matches!(programs, Reach::AnyHost | Reach::Listed) {
            programs = Reach::Inside;
        }
        let action = given.get("action").and_then(Value::as_str).unwrap_or_default();
        if name == "process" && PROCESS_LOOKS.contains(&action) {
            return Ok((Effect::Read, Reach::Inside));
        }
        if name == places::SEND {
            let to = given.get("to").and_then(Value::as_str).unwrap_or_default();
            let run = (self.setting.agent.id, self.talk.journal.run);
            let reach = self.talk.journal.ws.read(|snap| places::reach(snap, run, to))?;
            return Ok((effect, reach));
        }
        if name == request::NAME
            && let Some(named) = self.named(given, agents)?
        {
            return Ok((effect, named));
        }
        Ok((effect, authorize::reach_of(name, effect, programs)))
    }

    /// Returns `true` if a secret of the call can leave the machine: in a request, or as a variable of a program with
    /// network access.
    pub(super) fn takes_secret(&self, entry: &Entry, given: &Value) -> bool {
        if entry.is_layered() {
            return false;
        }
        let names =
            given.get("secrets").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        let child = self.setting.child.as_ref();
        let leaves = self.setting.agent.network && child.is_none_or(|child| child.may_network);
        names && leaves
            || entry.spec.name == request::NAME && given.to_string().contains(request::SECRET)
    }

    /// The secrets named by a call, each with its id and version, because an approval covers only these.
    pub(super) fn secrets_of(
        &self,
        entry: &Entry,
        given: &Value,
    ) -> Result<Vec<String>, EngineError> {
        let keys = terms::secrets_of(&entry.spec.name, given);
        if keys.is_empty() || entry.is_layered() {
            return Ok(Vec::new());
        }
        let agent = self.setting.agent.id;
        let held = vault::away::versions(&self.talk.journal.ws, agent)?;
        let label = |key: String| match held.iter().find(|(has, ..)| *has == key) {
            Some((_, id, version)) => format!("{key} {id} {version}"),
            None => key,
        };
        Ok(keys.into_iter().map(label).collect())
    }

    /// The reach of a request that only reads, like fetching a page, or that goes to a host of the list. `None` for
    /// others.
    pub(super) fn named(
        &self,
        given: &Value,
        agents: &[AgentId],
    ) -> Result<Option<Reach>, EngineError> {
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        let method = text("method").trim().to_ascii_uppercase();
        if matches!(method.as_str(), "" | "GET" | "HEAD")
            && given.get("body").is_none()
            && !given.to_string().contains(request::SECRET)
        {
            return Ok(Some(Reach::Inside));
        }
        let hosts = self.talk.journal.ws.read(|snap| reach::of_all(snap, agents))?;
        let at = url::Url::parse(text("url"));
        let is_listed = hosts.are_listed() && at.is_ok_and(|at| hosts.check(&at).is_ok());
        Ok(is_listed.then_some(Reach::Listed))
    }
}
