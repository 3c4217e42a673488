//! API clients with tools of their own, offered to the model beside the agent's tools. A call of such a tool is handed
//! to the client; the run waits until the client sends the result.

use std::collections::HashSet;

use features::connections::provider;
use features::runs::model::{ClientChoice, ClientTool, Demand, OTHERS};
use features::runs::rules::client;
use kernel::text::ellipsis;
use providers::model::{ChatRequest, ToolChoice, ToolDef};
use tool::Toolset;

use super::calls::SKIPPED;
use super::command::ends::HandedOut;
use super::toolbox::{self, Call};
use super::turn::{Step, Turn};
use super::{EngineError, commit};

const ONE_BY_ONE: &str = "Skipped: call these tools one at a time. This one was not called.";

/// The demands of an API client on a run.
pub(super) struct Client {
    pub demand: Demand,
    /// The client's tools by the names that the model sees.
    names: HashSet<String>,
    /// The tool that must be called; any of them if there are several.
    wanted: ToolChoice,
    tools: Vec<ToolDef>,
}

impl Client {
    pub(super) fn of(demand: Demand, ours: &Toolset) -> Self {
        let shown = |name: &str| match toolbox::is_ours(ours, name) {
            true => format!("{name}{OTHERS}"),
            false => name.to_owned(),
        };
        let definition = |tool: &ClientTool| ToolDef {
            name: shown(&tool.name),
            description: tool.about.clone(),
            // ok: it was parsed from JSON when the client sent it.
            schema: serde_json::from_str(&tool.schema.0).unwrap_or_default(),
        };
        let tools: Vec<ToolDef> = demand.offered().iter().map(definition).collect();
        let wanted = match (&demand.choice, tools.as_slice()) {
            (ClientChoice::Named(name), _) => ToolChoice::Named(shown(name)),
            (ClientChoice::Required, [only]) => ToolChoice::Named(only.name.clone()),
            (ClientChoice::Required, _) => ToolChoice::Required,
            (ClientChoice::Auto | ClientChoice::None | ClientChoice::Form(_), _) => {
                ToolChoice::Auto
            }
        };
        let names = tools.iter().map(|tool| tool.name.clone()).collect();
        Self { demand, names, wanted, tools }
    }

    /// Returns `true` for a tool of the client.
    pub(super) fn has(&self, tool: &str) -> bool {
        self.names.contains(tool)
    }

    /// Adds the client's demands to the request.
    pub(super) fn shape(&self, request: &mut ChatRequest) {
        let thousandths = |n: Option<u16>| n.map(|n| f32::from(n) / 1_000.0);
        request.tools.extend(self.tools.iter().cloned());
        request.temperature = thousandths(self.demand.temperature);
        request.top_p = thousandths(self.demand.top_p);
        request.stop.clone_from(&self.demand.stop);
        request.format = self.demand.form().map(provider::format_of);
    }

    /// Whether a tool must be called. No repetition is possible, because the run waits after the first call of such a
    /// tool.
    pub(super) fn choice(&self, request: &ChatRequest) -> ToolChoice {
        match &self.wanted {
            ToolChoice::Named(name) if !request.offers(name) => ToolChoice::Auto,
            wanted => wanted.clone(),
        }
    }
}

impl Turn {
    /// Executes the calls of one message: HQ's tools first, then the client's.
    pub(super) async fn run_tools(&mut self, calls: Vec<Call>) -> Result<Step, EngineError> {
        let is_theirs =
            |call: &Call| self.setting.client.as_ref().is_some_and(|own| own.has(&call.name));
        let (theirs, ours): (Vec<Call>, Vec<Call>) = calls.into_iter().partition(is_theirs);
        if !ours.is_empty()
            && let step = self.run_own_tools(ours).await?
            && step != Step::Next
        {
            return Ok(step);
        }
        if theirs.is_empty() { Ok(Step::Next) } else { self.hand_out(theirs).await }
    }

    /// Hands calls to the API client; the run waits for their results.
    async fn hand_out(&mut self, mut calls: Vec<Call>) -> Result<Step, EngineError> {
        if self.setting.cancel.is_cancelled() {
            return self.stopped(None).await;
        }
        if self.is_halted()? {
            return self.rest().await;
        }
        if let Some(why) = self.held_up()? {
            return self.skip(&calls, why).await.map(|()| Step::Next);
        }
        if self.setting.client.as_ref().is_some_and(|client| client.demand.one_by_one) {
            let others = calls.split_off(1);
            self.skip(&others, ONE_BY_ONE).await?;
        }
        let committed = commit::files(&mut self.talk.journal).await?;
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        let detail = ellipsis(&format!("the results of {}", names.join(", ")), 200);
        let handed = HandedOut {
            committed,
            effective: self.talk.journal.effective,
            activity: calls[0].name.clone(),
            detail,
            until: self.talk.journal.ws.app.clock.now() + client::PATIENCE,
        };
        let waits = self.talk.journal.apply(handed).await?;
        if !waits {
            return self.skip(&calls, SKIPPED).await.map(|()| Step::Next);
        }
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        Ok(Step::Waits)
    }
}

#[cfg(test)]
mod tests {
    use super::Client;
    use features::runs::model::{ClientChoice, ClientTool, Demand};
    use kernel::JsonText;
    use providers::model::{ChatRequest, ToolChoice};
    use tool::Toolset;

    fn tool(name: &str) -> ClientTool {
        ClientTool { name: name.into(), about: "Does it".into(), schema: JsonText::empty() }
    }

    fn client(names: &[&str], choice: ClientChoice) -> Client {
        let tools = names.iter().map(|name| tool(name)).collect();
        let demand = Demand { tools, choice, temperature: Some(250), ..Demand::default() };
        Client::of(demand, &Toolset::default())
    }

    #[test]
    fn tools_of_a_program_stand_behind_ours_under_names_of_their_own() {
        let mut request = ChatRequest::new("m", 10);
        // `grep` is an alias of one of HQ's tools.
        client(&["grep", "get_weather"], ClientChoice::Auto).shape(&mut request);
        let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["grep_client", "get_weather"]);
        assert_eq!((request.temperature, request.top_p), (Some(0.25), None));
    }

    #[test]
    fn what_has_to_be_called_is_told() {
        let named = |name: &str| ToolChoice::Named(name.to_owned());
        let choice = |client: &Client| {
            let mut request = ChatRequest::new("m", 10);
            client.shape(&mut request);
            client.choice(&request)
        };
        assert_eq!(choice(&client(&["a", "b"], ClientChoice::Auto)), ToolChoice::Auto);
        assert_eq!(choice(&client(&["a", "b"], ClientChoice::Required)), ToolChoice::Required);
        assert_eq!(choice(&client(&["ls"], ClientChoice::Required)), named("ls_client"));
        let second = client(&["a", "b"], ClientChoice::Named("b".into()));
        assert_eq!(choice(&second), named("b"));
        assert_eq!(second.choice(&ChatRequest::new("m", 10)), ToolChoice::Auto, "it was left out");
        let none = client(&["a"], ClientChoice::None);
        assert_eq!((choice(&none), none.tools.len()), (ToolChoice::Auto, 0));
    }
}
