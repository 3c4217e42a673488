//! Options of an API request beyond text: client tools and sampling parameters.

use serde::{Deserialize, Serialize};

use kernel::JsonText;

/// Suffix added to a client tool's name if HQ has a tool of the same name.
pub const OTHERS: &str = "_client";

/// A tool that the API client executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTool {
    /// Name as the client knows it.
    pub name: String,
    /// Description for the model.
    pub about: String,
    /// JSON schema of the arguments, an object.
    pub schema: JsonText,
}

/// Tool choice of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tools are offered.
    None,
    /// The model must call a tool.
    Required,
    /// The model must call this tool.
    Named(String),
    /// The model decides; the text of the answer has this JSON form.
    Form(AnswerForm),
}

/// JSON form of an answer's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerForm {
    /// Name given by the client.
    pub name: String,
    /// JSON schema; `None` for any JSON object.
    pub schema: Option<JsonText>,
    /// Whether the provider enforces the schema strictly, if the client says so.
    pub strict: Option<bool>,
}

/// Options of an API request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    pub tools: Vec<ClientTool>,
    pub choice: ClientChoice,
    /// Whether parallel tool calls are off.
    pub one_by_one: bool,
    /// Maximum output tokens of one model call.
    pub max_output: Option<u32>,
    /// Sampling temperature in thousandths.
    pub temperature: Option<u16>,
    /// Nucleus sampling in thousandths.
    pub top_p: Option<u16>,
    /// Stop sequences.
    pub stop: Vec<String>,
}

impl Demand {
    /// The tools offered to the model.
    #[must_use]
    pub fn offered(&self) -> &[ClientTool] {
        match self.choice {
            ClientChoice::None => &[],
            _ => &self.tools,
        }
    }

    /// The required JSON form of the answer.
    #[must_use]
    pub fn form(&self) -> Option<&AnswerForm> {
        match &self.choice {
            ClientChoice::Form(form) => Some(form),
            _ => None,
        }
    }

    /// Whether the model must call a client tool.
    #[must_use]
    pub fn must_call(&self) -> bool {
        matches!(self.choice, ClientChoice::Required | ClientChoice::Named(_))
    }

    /// Whether the name in a model's call is a client tool's.
    #[must_use]
    pub fn has(&self, called: &str) -> bool {
        let own = self.own_name(called);
        self.tools.iter().any(|tool| tool.name == own)
    }

    /// The client's own name of a tool that the model called `called`.
    #[must_use]
    pub fn own_name<'n>(&'n self, called: &'n str) -> &'n str {
        let is = |name: &str| self.tools.iter().any(|tool| tool.name == name);
        match called.strip_suffix(OTHERS) {
            Some(own) if !is(called) && is(own) => own,
            _ => called,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientChoice, ClientTool, Demand};
    use kernel::JsonText;

    #[test]
    fn a_tool_has_its_own_name_for_its_program() {
        let tool = |name: &str| ClientTool {
            name: name.to_owned(),
            about: String::new(),
            schema: JsonText::empty(),
        };
        let mut demand =
            Demand { tools: vec![tool("read"), tool("get_client")], ..Demand::default() };
        assert_eq!(demand.own_name("read_client"), "read");
        assert_eq!(demand.own_name("get_client"), "get_client");
        assert_eq!(demand.own_name("other_client"), "other_client");
        assert!(demand.has("read_client") && !demand.has("other_client"));
        assert_eq!(demand.offered().len(), 2);
        demand.choice = ClientChoice::None;
        assert!(demand.offered().is_empty() && !demand.must_call());
    }
}
