//! What a program asks of an answer beside words: tools of its own, and how the model answers.

use serde::{Deserialize, Serialize};

use kernel::JsonText;

/// What is added to the name of a program's tool when HQ has one of that name.
pub const OTHERS: &str = "_client";

/// A tool that a program carries out itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTool {
    /// Its name, as the program knows it.
    pub name: String,
    /// What it does.
    pub about: String,
    /// JSON schema of its arguments, an object.
    pub schema: JsonText,
}

/// Whether a tool of the program has to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None is on offer.
    None,
    /// One has to be called.
    Required,
    /// This one has to be called.
    Named(String),
    /// The model decides; the words of its answer have this form.
    Form(AnswerForm),
}

/// The form that a program wants for the words of an answer: JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerForm {
    /// What the program calls it.
    pub name: String,
    /// Its JSON schema; none for any JSON object.
    pub schema: Option<JsonText>,
    /// Whether the schema is followed to the letter, where the program says so.
    pub strict: Option<bool>,
}

/// What a program asks of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    pub tools: Vec<ClientTool>,
    /// Whether one has to be called.
    pub choice: ClientChoice,
    /// Whether only one may be called at a time.
    pub one_by_one: bool,
    /// The most output tokens of one model call.
    pub max_output: Option<u32>,
    /// Sampling temperature, in thousandths.
    pub temperature: Option<u16>,
    /// Nucleus sampling, in thousandths.
    pub top_p: Option<u16>,
    /// Texts that end the output.
    pub stop: Vec<String>,
}

impl Demand {
    /// The tools that are on offer.
    #[must_use]
    pub fn offered(&self) -> &[ClientTool] {
        match self.choice {
            ClientChoice::None => &[],
            _ => &self.tools,
        }
    }

    /// The form that the words of the answer must have.
    #[must_use]
    pub fn form(&self) -> Option<&AnswerForm> {
        match &self.choice {
            ClientChoice::Form(form) => Some(form),
            _ => None,
        }
    }

    /// Whether a call of one of its tools has to come.
    #[must_use]
    pub fn must_call(&self) -> bool {
        matches!(self.choice, ClientChoice::Required | ClientChoice::Named(_))
    }

    /// Whether a tool that the model calls so is one of the program's.
    #[must_use]
    pub fn has(&self, called: &str) -> bool {
        let own = self.own_name(called);
        self.tools.iter().any(|tool| tool.name == own)
    }

    /// The program's own name of a tool that the model calls so.
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
