//! Access decision for a hypothetical call, with its reason: below an agent's behaviour page and over the API.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{self as agents, reach};
use features::trust::authorize::{self, Facts, OutgoingRequest, Reach, Verdict};
use features::trust::line;
use features::trust::model::{BROWSER, Permission};
use features::trust::queries;
use features::trust::sites::{self, SiteAct};
use kernel::{AccessDecision, AgentId, Can, PermissionId, TrustMode};
use store::{Read, ReadExt, StoreError};
use tool::ToolSpec;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Query};
use web::form::Wrong;
use web::html;
use web::parts::Choice;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Shell;

use super::permits::{calls, is_host};
use super::table::{REQUESTS, besides, tool_named, tools_of, word_of};

/// The tool that runs programs; its calls are distinguished by command line.
const PROGRAMS: &str = "exec";
/// Maximum length of a command line that is analysed, in bytes.
const MAX_LINE: usize = 32 * 1024;

pub(super) fn pages(routes: Routes) -> Routes {
    routes.get("/agents/{slug}/behaviour/explain", show.needs(Can::Read))
}

pub(super) fn api(routes: Routes) -> Routes {
    let explained = || {
        Doc::new("Test a call of an agent and explain the result; nothing is called")
            .query::<ExplainQuery>()
            .returns::<Explained>()
    };
    routes.get("/policy/explain", explain.needs(Can::Read).doc(explained))
}

/// Which call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    /// Slug or id of the agent.
    agent: String,
    /// The tool.
    tool: String,
    /// The command line of a program; for `exec` alone.
    #[serde(default)]
    command: String,
    /// The host of a request, or of an act at a site; for `http_request` and `browser` alone.
    #[serde(default)]
    host: String,
    /// The method of a request, `GET` unless said otherwise; or the kind of an act at a site, `ACT` unless said otherwise.
    #[serde(default)]
    method: String,
}

/// The query for the page's agent, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExplainForm {
    tool: String,
    command: String,
    host: String,
    method: String,
}

/// What would become of a call.
#[derive(Serialize, JsonSchema)]
struct Explained {
    /// Whether it is made, asked for or refused.
    verdict: AccessDecision,
    /// Why.
    why: String,
    /// The permission that decides; none when the mode does.
    rule: Option<PermissionId>,
    /// The calls that this permission is for, in words.
    calls: Option<String>,
    /// The mode of the agent.
    mode: TrustMode,
}

impl Explained {
    /// Label and tone of the decision.
    fn word(&self) -> (&'static str, &'static str) {
        word_of(self.verdict)
    }
}

/// The hypothetical call.
struct Meant {
    spec: &'static ToolSpec,
    command: Option<String>,
    request: Option<OutgoingRequest>,
}

impl Meant {
    /// Parses the form.
    ///
    /// # Errors
    /// The invalid field and the reason.
    fn read(form: &ExplainForm) -> Result<Self, (&'static str, String)> {
        let spec = tool_named(form.tool.trim()).map_err(|message| ("tool", message))?;
        let (command, host) = (form.command.trim(), form.host.trim());
        if !command.is_empty() && spec.name != PROGRAMS {
            return Err(("command", format!("only {PROGRAMS} takes a command line")));
        }
        if MAX_LINE < command.len() {
            return Err(("command", format!("a command line can have at most {MAX_LINE} bytes")));
        }
        let request = match host {
            "" if spec.name == BROWSER => {
                return Err(("host", "enter the site's host".to_owned()));
            }
            "" => None,
            _ if spec.name != REQUESTS && spec.name != BROWSER => {
                let message = format!("only {REQUESTS} and {BROWSER} have a host");
                return Err(("host", message));
            }
            host => Some(Self::request_for(spec, host, form.method.trim())?),
        };
        let command = (!command.is_empty()).then(|| command.to_owned());
        Ok(Self { spec, command, request })
    }

    fn request_for(
        spec: &ToolSpec,
        host: &str,
        method: &str,
    ) -> Result<OutgoingRequest, (&'static str, String)> {
        let is_site = spec.name == BROWSER;
        if !(is_host(host) || is_site && sites::is_origin(host)) {
            return Err(("host", "enter a host, such as api.example.com".to_owned()));
        }
        let usual = if is_site { SiteAct::Act.word() } else { "GET" };
        let method = if method.is_empty() { usual } else { method }.to_ascii_uppercase();
        if is_site && SiteAct::of_word(&method).is_none() {
            let words = SiteAct::ALL.map(SiteAct::word).join(", ");
            return Err(("method", format!("for {BROWSER}, use one of the methods {words}")));
        }
        let origin = host.contains("://").then(|| host.to_owned());
        // A permission for a host covers all its ports.
        let host = host.split_once("://").map_or(host, |(_, rest)| rest);
        let host = host.split(':').next().unwrap_or_default();
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        Ok(OutgoingRequest { method, host, is_usual: origin.is_none(), origin })
    }

    /// The reach of the call, given the reach of the agent's programs.
    fn reach(&self, tx: &dyn Read, agent: AgentId, programs: Reach) -> Result<Reach, StoreError> {
        let reach = authorize::reach_of(&self.spec.name, self.spec.effect, programs);
        let Some(request) = &self.request else { return Ok(reach) };
        if self.spec.name == BROWSER {
            return Ok(Reach::Site);
        }
        // A read-only request has the reach of fetching a page.
        if matches!(request.method.as_str(), "GET" | "HEAD") {
            return Ok(Reach::Inside);
        }
        let hosts = reach::of_all(tx, &[agent])?;
        let is_listed = hosts.are_listed() && hosts.has(&request.host);
        Ok(if is_listed { Reach::Listed } else { reach })
    }
}

/// The decision for a call. Blocks: looks up the programs of the command line on this machine.
fn explained(ws: &Ws, agent: &Agent, meant: &Meant) -> Result<Explained, StoreError> {
    let folder = ws.agent_folder(&agent.slug);
    let line = meant.command.as_deref().map(|command| line::seen(command, &folder));
    ws.read(|snap| {
        let mode = queries::mode_of(snap, agent.id)?;
        let spec = meant.spec;
        if !tools_of(snap, agent)?.iter().any(|one| one.name == spec.name) {
            let why = "The agent doesn’t have this tool: it’s turned off.".to_owned();
            return Ok(Explained {
                verdict: AccessDecision::Deny,
                why,
                rule: None,
                calls: None,
                mode,
            });
        }
        let reach = meant.reach(snap, agent.id, authorize::programs(snap, &[agent.id])?)?;
        let facts = Facts {
            line: line.as_ref(),
            request: meant.request.as_ref(),
            ..Facts::of(&spec.name, spec.effect, reach, ws.app.clock.now())
        };
        let Verdict { decision, why, rule, .. } =
            authorize::authorize(snap, &[agent.id], None, &facts)?;
        let permission = match rule {
            Some(rule) => snap.get::<Permission>(rule)?,
            None => None,
        };
        let is_by_mode = rule.is_none() && matches!(mode, TrustMode::Ask | TrustMode::Auto);
        // An allowed request still leaves this machine.
        let why = match decision {
            AccessDecision::Allow if is_by_mode && meant.request.is_some() => {
                "Read-only, or the host is on the agent’s list".to_owned()
            }
            _ => why,
        };
        let besides = besides(spec, (decision, rule), mode);
        Ok(Explained {
            verdict: decision,
            why: web::form::sentence(&why) + besides,
            rule,
            calls: permission.map(|one| calls(&one.tool, &one.what)),
            mode,
        })
    })
}

async fn explain(
    ws: Ws,
    _: Person,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explained>, ApiError> {
    let ExplainQuery { agent, tool, command, host, method } = query;
    let agent = ws.read(|snap| agents::by_name(snap, &agent))?;
    let agent = agent.ok_or_else(|| ApiError::not_found("This agent"))?;
    let meant = Meant::read(&ExplainForm { tool, command, host, method });
    let meant = meant.map_err(|(field, message)| ApiError::invalid(field, message))?;
    Ok(Json(ws.read_blocking(move |ws| explained(ws, &agent, &meant)).await?))
}

#[derive(Template)]
#[template(path = "trust/explain.html")]
struct ExplainPage {
    shell: Shell,
    name: String,
    back: String,
    here: String,
    tools: Vec<Choice>,
    typed: ExplainForm,
    wrong: Wrong,
    told: Option<Explained>,
}

/// `GET /agents/{slug}/behaviour/explain`
async fn show(
    ws: Ws,
    _: Person,
    shell: Shell,
    Path(slug): Path<String>,
    Query(form): Query<ExplainForm>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, &slug))?;
    let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let back = ws.url(&format!("agents/{}/behaviour", agent.slug));
    let specs = ws.read(|snap| tools_of(snap, &agent))?;
    let chosen = if form.tool.is_empty() { PROGRAMS } else { form.tool.as_str() };
    let tools = specs.iter().map(|spec| Choice::new(&*spec.name, &*spec.name, spec.name == chosen));
    let tools: Vec<Choice> = tools.collect();
    let name = ws.read(|snap| agents::called(snap, &agent))?;
    let (explanation, wrong) = match Meant::read(&form) {
        _ if form.tool.is_empty() => (None, Wrong::none()),
        Ok(meant) => {
            let explanation = ws.read_blocking(move |ws| explained(ws, &agent, &meant)).await?;
            (Some(explanation), Wrong::none())
        }
        Err((field, explanation)) => (None, Wrong::field(field, explanation)),
    };
    let is_wrong = !form.tool.is_empty() && explanation.is_none();
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let here = format!("{back}/explain");
    let page =
        ExplainPage { shell, name, back, here, tools, typed: form, wrong, told: explanation };
    html::document(status, &page)
}

#[cfg(test)]
mod tests {
    use super::{ExplainForm, Meant};

    fn wrong(tool: &str, command: &str, host: &str, method: &str) -> Option<&'static str> {
        let [tool, command, host, method] = [tool, command, host, method].map(str::to_owned);
        Meant::read(&ExplainForm { tool, command, host, method }).err().map(|(field, _)| field)
    }

    #[test]
    fn what_does_not_belong_to_a_tool_is_refused_by_its_field() {
        assert_eq!(wrong("no_such_tool", "", "", ""), Some("tool"));
        assert_eq!(wrong("", "", "", ""), Some("tool"));
    }
}
