//! Permissions: rows of the list, and parsing of forms and API requests.

use jiff::ToSpan as _;
use schemars::JsonSchema;
use serde::Deserialize;

use features::agents::model::Agent;
use features::agents::queries as agents;
use features::tasks::queries::view_context::ViewContext;
use features::trust::model::{BROWSER, Permission, PermissionUse, What};
use features::trust::queries::{self, ALL_TOOLS};
use features::trust::rules::{NewPermission, TrustError};
use features::trust::sites::{self, SiteAct};
use features::trust::tools;
use kernel::text::one_line;
use kernel::{AccessDecision, AgentId, Timestamp};
use store::{Read, ReadExt, StoreError};
use tool::ToolSpec;
use web::form::Wrong;
use web::format::count;
use web::parts::{Choice, Face};
use web::time::RelTime;

use super::presets::{PRESETS, Preset};
use super::table::{REQUESTS, tool_named, word_of};

/// Maximum lifetime in days, unless the permission does not expire.
const MOST_DAYS: u16 = 365;

/// A permission in a list.
pub(super) struct Line {
    pub tool: String,
    pub what: String,
    /// Whether it applies to all agents.
    pub for_all: bool,
    pub tone: &'static str,
    pub word: &'static str,
    pub note: String,
    pub by: Face,
    pub at: RelTime,
    pub until: Option<RelTime>,
    /// Whether it has expired.
    pub over: bool,
    /// When it last decided a call.
    pub used: Option<RelTime>,
    /// Number of calls that it decided in the last thirty days.
    pub lately: String,
    /// Address of "remove".
    pub remove: String,
}

/// The list of permissions and the form that adds one.
pub(super) struct Permits {
    pub lines: Vec<Line>,
    /// Whether this person may change them.
    pub may: bool,
    /// The agent's slug; empty for the workspace.
    pub agent: String,
    pub action: String,
    pub tools: Vec<Choice>,
    pub leaves: Vec<Choice>,
    /// Whether a tool sends requests, which have hosts.
    pub has_requests: bool,
    pub typed: PermissionForm,
    pub wrong: Wrong,
    pub presets: &'static [Preset],
}

/// The form as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PermissionForm {
    pub agent: String,
    tool: String,
    leave: String,
    pub host: String,
    pub note: String,
    pub days: String,
}

impl PermissionForm {
    pub fn wish(&self) -> Result<PermissionBody, Wrong> {
        let decision = self.leave.parse().map_err(|_| Wrong::field("leave", "choose an answer"))?;
        let days = match self.days.trim() {
            "" => None,
            text => match text.parse() {
                Ok(days) => Some(days),
                Err(_) => return Err(Wrong::field("days", "enter a whole number of days")),
            },
        };
        Ok(PermissionBody {
            agent: None,
            tool: self.tool.clone(),
            leave: decision,
            host: Some(self.host.clone()),
            method: None,
            note: self.note.clone(),
            days,
        })
    }
}

/// A permission to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionBody {
    /// Slug or id of the agent; without it, all agents of the workspace.
    #[serde(default)]
    pub agent: Option<String>,
    /// The tool; `*` for all.
    pub tool: String,
    /// What becomes of the calls.
    pub leave: AccessDecision,
    /// Only requests to this host, or acts at this site; for `http_request` and `browser` alone.
    #[serde(default)]
    pub host: Option<String>,
    /// Only requests by this method, such as `GET`, or acts of this kind: `ACT`, `SEND`, `SECRET`, `DOWNLOAD`, `UPLOAD`,
    /// `EVALUATE`; with a host.
    #[serde(default)]
    pub method: Option<String>,
    /// Why.
    #[serde(default)]
    pub note: String,
    /// After how many days it ends, 1 to 365; without it, never.
    #[serde(default)]
    pub days: Option<u16>,
}

impl PermissionBody {
    /// Builds the permission for the resolved agent.
    ///
    /// # Errors
    /// `Refused` with the reason.
    pub fn permission(
        self,
        agent: Option<AgentId>,
        now: Timestamp,
    ) -> Result<NewPermission, TrustError> {
        let tool = self.tool.trim();
        if tool != ALL_TOOLS {
            tool_named(tool).map_err(TrustError::Refused)?;
        }
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned());
        let host = given(self.host).filter(|host| !host.is_empty());
        let method = given(self.method).filter(|method| !method.is_empty());
        let what = match (host, method) {
            (None, None) => What::All,
            _ if tool != REQUESTS && tool != BROWSER => {
                let message = format!("only {REQUESTS} and {BROWSER} have a host");
                return Err(TrustError::Refused(message));
            }
            (_, Some(method)) if tool == BROWSER && SiteAct::of_word(&method).is_none() => {
                let words = SiteAct::ALL.map(SiteAct::word).join(", ");
                let message = format!(
                    "for {BROWSER}, use one of the methods {words}, or none for all \
                        actions"
                );
                return Err(TrustError::Refused(message));
            }
            (Some(host), method)
                if is_host(&host) || tool == BROWSER && sites::is_origin(&host) =>
            {
                What::Host {
                    method: method.unwrap_or_default().to_ascii_uppercase(),
                    host: host.to_ascii_lowercase(),
                }
            }
            _ => {
                let message = "enter a host, such as api.example.com";
                return Err(TrustError::Refused(message.to_owned()));
            }
        };
        let expires_at = match self.days {
            None => None,
            Some(days) if (1..=MOST_DAYS).contains(&days) => {
                now.checked_add((24 * i64::from(days)).hours()).ok()
            }
            Some(_) => {
                let message = format!("a permission expires after 1 to {MOST_DAYS} days, or never");
                return Err(TrustError::Refused(message));
            }
        };
        Ok(NewPermission {
            agent,
            run: None,
            tool: tool.to_owned(),
            what,
            leave: self.leave,
            note: self.note,
            expires_at,
        })
    }
}

/// Whether a text can be a host name without scheme, port and path.
pub(super) fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= 253 && text.chars().all(fits) && !text.starts_with('.')
}

/// The calls that a permission covers, in words.
pub(super) fn calls(tool: &str, what: &What) -> String {
    match what {
        What::All if tool == ALL_TOOLS => "Every call of every tool".to_owned(),
        What::All => "Every call".to_owned(),
        What::Same { shown, .. } => format!("Exactly {}", one_line(shown)),
        What::Command(pattern) => one_line(&pattern.shown()),
        What::Host { method, host } if tool == BROWSER => sites::describe(method, host),
        What::Host { method, host } if method.is_empty() => format!("Requests to {host}"),
        What::Host { method, host } => format!("{method} requests to {host}"),
    }
}

/// The permissions that apply to an agent, or those of the workspace, with the form that adds one.
pub(super) fn permits(
    tx: &dyn Read,
    scene: &ViewContext,
    (agent, specs): (Option<&Agent>, &[&ToolSpec]),
    may: bool,
    (form, wrong): (PermissionForm, Wrong),
) -> Result<Permits, StoreError> {
    let now = scene.today.now;
    let kept = queries::kept(tx, agent.map(|agent| agent.id))?;
    let line = |rule: Permission| {
        let (word, tone) = word_of(rule.leave);
        let used: Option<PermissionUse> = tx.get(rule.id)?;
        let lately = used.as_ref().map_or(0, |used| used.lately(now));
        Ok::<_, StoreError>(Line {
            used: used.map(|used| scene.time(used.last_at)),
            lately: format!("{} in {} days", count(lately, "call", "calls"), PermissionUse::DAYS),
            what: calls(&rule.tool, &rule.what),
            for_all: agent.is_some() && rule.agent.is_none(),
            tone,
            word,
            by: scene.people.actor(rule.by),
            at: scene.time(rule.created_at),
            until: rule.expires_at.map(|at| scene.time(at)),
            over: rule.expires_at.is_some_and(|at| at <= now),
            remove: scene.ws.url(&format!("permissions/{}/remove", rule.id)),
            note: rule.note,
            tool: rule.tool,
        })
    };
    let is_chosen = |value: &str| form.tool == value;
    let mut tools: Vec<Choice> = specs
        .iter()
        .map(|spec| Choice::new(&*spec.name, &*spec.name, is_chosen(&spec.name)))
        .collect();
    tools.push(Choice::new(ALL_TOOLS, "All tools", is_chosen(ALL_TOOLS)));
    let leaves = [AccessDecision::Allow, AccessDecision::Ask, AccessDecision::Deny];
    let chosen = form.leave.parse().unwrap_or(AccessDecision::Allow);
    let leaves =
        leaves.map(|decision| Choice::new(decision.word(), decision.label(), decision == chosen));
    Ok(Permits {
        lines: kept.into_iter().map(line).collect::<Result<_, StoreError>>()?,
        may,
        agent: agent.map(|agent| agent.slug.clone()).unwrap_or_default(),
        action: scene.ws.url("permissions"),
        has_requests: tools::all().iter().any(|spec| spec.name == REQUESTS),
        tools,
        leaves: leaves.into(),
        typed: form,
        wrong,
        presets: &PRESETS,
    })
}

/// Resolves the agent's name; `None` for the whole workspace.
///
/// # Errors
/// `Refused` if no such agent exists.
pub(super) fn agent_named(tx: &dyn Read, name: Option<&str>) -> Result<Option<Agent>, TrustError> {
    let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else { return Ok(None) };
    let agent = agents::by_name(tx, name)?;
    let message = || format!("there is no agent {}", kernel::text::cut(name, 64));
    agent.map(Some).ok_or_else(|| TrustError::Refused(message()))
}

#[cfg(test)]
mod tests {
    use super::{PermissionBody, is_host};
    use kernel::AccessDecision;

    #[test]
    fn a_host_is_a_name_and_nothing_more() {
        for host in ["api.example.com", "localhost", "10.0.0.1", "a-b.example"] {
            assert!(is_host(host), "{host}");
        }
        for text in ["https://example.com", "example.com/x", "example.com:8080", ".com", "a b"] {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn a_permission_ends_within_a_year_or_never() {
        let wish = |days| PermissionBody {
            agent: None,
            tool: "*".to_owned(),
            leave: AccessDecision::Ask,
            host: None,
            method: None,
            note: String::new(),
            days,
        };
        let now = kernel::time::from_ms(0);
        let end = |days| wish(days).permission(None, now).map(|new| new.expires_at);
        assert_eq!(end(None).expect("it never ends"), None);
        let day = kernel::time::from_ms(24 * 60 * 60 * 1000);
        assert_eq!(end(Some(1)).expect("it ends"), Some(day));
        assert!(end(Some(0)).is_err() && end(Some(366)).is_err());
    }
}
