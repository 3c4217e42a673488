//! If a provider rejects a request because of one tool's schema, the run continues without that tool and records it.

use features::runs::model::EventKind;
use providers::bound::Size;
use providers::error::{ErrorClass, ProviderError};
use providers::model::ToolDef;

use super::EngineError;
use super::turn::Turn;

/// Most tools left out of a run before the provider's error is final.
const MOST: u32 = 8;

impl Turn {
    /// Leaves out the tool that an error names. Returns whether there was one.
    pub(super) async fn leave_tool_out(
        &mut self,
        error: &ProviderError,
    ) -> Result<bool, EngineError> {
        if error.class != ErrorClass::InvalidRequest || MOST <= self.talk.left_out {
            return Ok(false);
        }
        let Some(at) = refused(&error.message, &self.talk.request.tools) else { return Ok(false) };
        let tool = self.talk.request.tools.remove(at);
        self.talk.left_out += 1;
        self.talk.fixed = Size::of(&self.talk.request);
        let text = format!(
            "The tool {} can't be used: the model's provider doesn't accept its schema. Continue \
             without it.",
            tool.name
        );
        self.talk.journal.append(vec![EventKind::Notice { text }]).await?;
        Ok(true)
    }
}

/// The index of the rejected tool: by its quoted name or by its position.
fn refused(message: &str, tools: &[ToolDef]) -> Option<usize> {
    let lower = message.to_lowercase();
    if !["schema", "parameters"].iter().any(|word| lower.contains(word)) {
        return None;
    }
    let names = |name: &str| {
        ['\'', '"', '`'].iter().any(|quote| message.contains(&format!("{quote}{name}{quote}")))
    };
    if let Some(at) = tools.iter().position(|tool| names(&tool.name)) {
        return Some(at);
    }
    // With nested function declarations the position is that of the enclosing tool.
    let place = lower.split("tools").nth(1).filter(|_| !lower.contains("function_declarations"))?;
    let digits = place.strip_prefix(['.', '['])?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|at| *at < tools.len())
}

#[cfg(test)]
mod tests {
    use super::refused;
    use providers::model::ToolDef;

    #[test]
    fn the_tool_that_a_refusal_is_about_is_found() {
        let tool = |name: &str| ToolDef {
            name: name.to_owned(),
            description: String::new(),
            schema: serde_json::json!({}),
        };
        let tools = [tool("read"), tool("get_weather"), tool("say")];
        for (message, at) in [
            ("Invalid schema for function 'get_weather': array schema missing items", Some(1)),
            ("tools.2.custom.input_schema: JSON schema is invalid", Some(2)),
            ("Invalid value for tools[0].function.parameters", Some(0)),
            ("tools.9.custom.input_schema: JSON schema is invalid", None),
            ("tools[0].function_declarations[1].parameters: unknown", None),
            ("messages: 'read' may not be empty", None),
        ] {
            assert_eq!(refused(message, &tools), at, "{message}");
        }
    }
}
