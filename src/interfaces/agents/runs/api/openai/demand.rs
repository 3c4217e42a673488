//! Parameters that both OpenAI formats share: client tools and the form of the response.

use std::collections::HashSet;

use serde_json::{Value, json};

use features::runs::model::{AnswerForm, ClientChoice, ClientTool, Demand, OTHERS};
use kernel::text::cut;
use kernel::{JsonText, Thinking};

use super::error::ChatError;

/// Maximum number of client tools.
const MAX_TOOLS: usize = 128;
/// Limit on the total size of the tools, in bytes.
const MAX_TOOLS_BYTES: usize = 64 * 1024;
/// Maximum size of a response schema, in bytes.
const MAX_SCHEMA: usize = 64 * 1024;
/// Maximum length of a tool name.
const MAX_NAME: usize = 64;
/// Maximum number of stop sequences.
const MAX_STOPS: usize = 4;
/// Maximum length of a stop sequence, in bytes.
const MAX_STOP: usize = 256;

/// The raw fields of a request.
#[derive(Debug, Default)]
pub(super) struct Wishes<'r> {
    /// `tools`.
    pub tools: Option<&'r Value>,
    /// `tool_choice`.
    pub choice: Option<&'r Value>,
    /// `parallel_tool_calls`.
    pub parallel: Option<bool>,
    /// Output limits by field name; the first one set applies.
    pub limits: &'r [(&'static str, Option<u64>)],
    /// `temperature`.
    pub temperature: Option<f64>,
    /// `top_p`.
    pub top_p: Option<f64>,
    /// `stop`.
    pub stop: Option<&'r Value>,
    /// The response format and the name of its field.
    pub form: Option<(&'static str, &'r Value)>,
}

impl Wishes<'_> {
    /// Validates the fields. Returns `None` if none is set.
    ///
    /// # Errors
    /// Names the invalid field.
    pub fn demand(&self) -> Result<Option<Demand>, ChatError> {
        let mut tools = tools(self.tools)?;
        let mut choice = choice(self.choice, &tools)?;
        if let Some((param, value)) = self.form
            && let Some(form) = form(param, value)?
        {
            choice = match choice {
                ClientChoice::Required | ClientChoice::Named(_) => {
                    let text = format!("`{param}` requires `tool_choice` auto or none");
                    return Err(ChatError::invalid(param, text));
                }
                ClientChoice::None => {
                    tools.clear();
                    ClientChoice::Form(form)
                }
                _ => ClientChoice::Form(form),
            };
        }
        let mut max_output = None;
        for (name, limit) in self.limits {
            if *limit == Some(0) {
                return Err(ChatError::invalid(name, format!("`{name}` must be at least 1")));
            }
            let limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
            max_output = max_output.or(limit);
        }
        let demand = Demand {
            one_by_one: self.parallel == Some(false) && !tools.is_empty(),
            tools,
            choice,
            max_output,
            temperature: thousandths("temperature", self.temperature, 2)?,
            top_p: thousandths("top_p", self.top_p, 1)?,
            stop: stops(self.stop)?,
        };
        Ok((demand != Demand::default()).then_some(demand))
    }
}

/// The field whose format is wrapped in `json_schema`.
const WRAPPED: &str = "response_format";

/// Parses the response format, wrapped as in Chat Completions or bare as in Responses. Returns `None` for plain text.
fn form(param: &str, value: &Value) -> Result<Option<AnswerForm>, ChatError> {
    let invalid = |place: &str, text: String| Err(ChatError::invalid(place, text));
    let described = match value["type"].as_str() {
        _ if value.is_null() => return Ok(None),
        Some("text") => return Ok(None),
        Some("json_object") => {
            let name = "json_object".to_owned();
            return Ok(Some(AnswerForm { name, schema: None, strict: None }));
        }
        Some("json_schema") => match &value["json_schema"] {
            Value::Null => value,
            described => described,
        },
        _ => {
            let text = format!("`{param}` must be of type text, json_object or json_schema");
            return invalid(param, text);
        }
    };
    // Without a description, the error path follows the API that owns this field.
    let is_bare = value["json_schema"].is_null()
        && (param != WRAPPED || ["name", "schema"].iter().any(|key| !value[*key].is_null()));
    let place = if is_bare { param.to_owned() } else { format!("{param}.json_schema") };
    let name = described["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        let text = format!("`{place}.name` must have 1 to {MAX_NAME} letters, digits, - and _");
        return invalid(&format!("{place}.name"), text);
    }
    let schema = &described["schema"];
    let text = schema.to_string();
    if !schema.is_object() || MAX_SCHEMA < text.len() {
        let most = MAX_SCHEMA / 1024;
        let text = format!(
            "`{place}.schema` must be a JSON schema, an object of at most {most} \
            KB"
        );
        return invalid(&format!("{place}.schema"), text);
    }
    let strict = match &described["strict"] {
        Value::Null => None,
        Value::Bool(strict) => Some(*strict),
        _ => {
            let text = format!("`{place}.strict` must be true or false");
            return invalid(&format!("{place}.strict"), text);
        }
    };
    Ok(Some(AnswerForm { name: name.to_owned(), schema: Some(JsonText(text)), strict }))
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(plain)
}

/// A number from 0 to `most`, in thousandths.
fn thousandths(name: &str, value: Option<f64>, most: u16) -> Result<Option<u16>, ChatError> {
    let Some(value) = value else { return Ok(None) };
    if !(0.0..=f64::from(most)).contains(&value) {
        return Err(ChatError::invalid(name, format!("`{name}` must be from 0 to {most}")));
    }
    // Converts through text, since no lossless cast exists.
    Ok(format!("{:.0}", value * 1_000.0).parse().ok())
}

/// Validates a number that is accepted but unused.
///
/// # Errors
/// The number is not between -`most` and `most`.
pub(super) fn within(name: &str, value: Option<f64>, most: f64) -> Result<(), ChatError> {
    match value {
        Some(value) if !(-most..=most).contains(&value) => {
            Err(ChatError::invalid(name, format!("`{name}` must be from -{most} to {most}")))
        }
        _ => Ok(()),
    }
}

fn stops(value: Option<&Value>) -> Result<Vec<String>, ChatError> {
    let wrong = || ChatError::invalid("stop", "`stop` must be a text or a list of up to four");
    let texts: Vec<&str> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => {
            texts.iter().map(|text| text.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    if MAX_STOPS < texts.len() || texts.iter().any(|text| MAX_STOP < text.len()) {
        return Err(wrong());
    }
    Ok(texts.into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect())
}

/// The thinking level in the field `name`.
///
/// # Errors
/// The level is unknown.
pub(super) fn thinking(name: &str, word: Option<&str>) -> Result<Option<Thinking>, ChatError> {
    Ok(Some(match word {
        None => return Ok(None),
        Some("none") => Thinking::None,
        Some("minimal" | "low") => Thinking::Low,
        Some("medium") => Thinking::Medium,
        Some("high") => Thinking::High,
        Some("xhigh" | "max") => Thinking::Max,
        Some(other) => {
            let text = format!(
                "\"{}\" isn't an effort; use none, minimal, low, medium, high or xhigh",
                cut(other, 40)
            );
            return Err(ChatError::invalid(name, text));
        }
    }))
}

/// Parses tools: functions, wrapped as in Chat Completions or bare as in Responses.
fn tools(value: Option<&Value>) -> Result<Vec<ClientTool>, ChatError> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(ChatError::invalid("tools", "`tools` must be a list")),
    };
    if MAX_TOOLS < list.len() {
        let text = format!("use at most {MAX_TOOLS} tools");
        return Err(ChatError::invalid("tools", text));
    }
    let tools = list.iter().enumerate().map(|(at, tool)| one(tool, &format!("tools[{at}]")));
    let tools = tools.collect::<Result<Vec<ClientTool>, _>>()?;
    let sizes = tools.iter().map(|tool| tool.name.len() + tool.about.len() + tool.schema.0.len());
    if MAX_TOOLS_BYTES < sizes.sum::<usize>() {
        let text = format!("`tools` can have at most {} KB in total", MAX_TOOLS_BYTES / 1024);
        return Err(ChatError::invalid("tools", text));
    }
    let mut names = HashSet::new();
    for (at, tool) in tools.iter().enumerate() {
        let base = tool.name.strip_suffix(OTHERS).unwrap_or(&tool.name);
        if !names.insert(base) {
            let text = format!("two tools have the name {base}; give each its own");
            return Err(ChatError::invalid(&format!("tools[{at}].function.name"), text));
        }
    }
    Ok(tools)
}

fn one(tool: &Value, place: &str) -> Result<ClientTool, ChatError> {
    let kind = tool["type"].as_str().unwrap_or_default();
    if kind != "function" {
        let text = format!(
            "tools of type \"{}\" aren't supported, only \"function\"; the agent has its own tools \
             for the rest",
            cut(kind, 40)
        );
        return Err(ChatError::invalid(&format!("{place}.type"), text));
    }
    let (function, place) = match &tool["function"] {
        Value::Null => (tool, place.to_owned()),
        function => (function, format!("{place}.function")),
    };
    let name = function["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        let text = "a tool's name must have 1 to 64 letters, digits, - and _";
        return Err(ChatError::invalid(&format!("{place}.name"), text));
    }
    let schema = match &function["parameters"] {
        Value::Null => json!({ "type": "object", "properties": {} }),
        Value::Object(given) => {
            let mut schema = given.clone();
            schema.entry("type").or_insert_with(|| "object".into());
            Value::Object(schema)
        }
        _ => {
            let text = "`parameters` must be a JSON schema, an object";
            return Err(ChatError::invalid(&format!("{place}.parameters"), text));
        }
    };
    Ok(ClientTool {
        name: name.to_owned(),
        about: function["description"].as_str().unwrap_or_default().to_owned(),
        schema: JsonText(schema.to_string()),
    })
}

fn choice(value: Option<&Value>, tools: &[ClientTool]) -> Result<ClientChoice, ChatError> {
    const PARAM: &str = "tool_choice";
    let wrong = |text: &str| Err(ChatError::invalid(PARAM, text));
    let choice = match value {
        None | Some(Value::Null) => return Ok(ClientChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => return Ok(ClientChoice::Auto),
            // Without tools, `none` has no effect.
            "none" if tools.is_empty() => return Ok(ClientChoice::Auto),
            "none" => return Ok(ClientChoice::None),
            "required" => ClientChoice::Required,
            _ => return wrong("`tool_choice` must be auto, none, required or one function"),
        },
        Some(named) => match named["function"]["name"].as_str().or(named["name"].as_str()) {
            Some(name) if named["type"] == "function" => ClientChoice::Named(name.to_owned()),
            _ => return wrong("`tool_choice` must be auto, none, required or one function"),
        },
    };
    match &choice {
        _ if tools.is_empty() => wrong("`tool_choice` requires a tool, but `tools` is empty"),
        ClientChoice::Named(name) if tools.iter().all(|tool| tool.name != *name) => {
            wrong("`tool_choice` names a function that isn't in `tools`")
        }
        _ => Ok(choice),
    }
}

#[cfg(test)]
mod tests {
    use super::{Demand, Wishes, thinking};
    use features::runs::model::ClientChoice;
    use kernel::Thinking;
    use serde_json::{Value, json};

    fn parse_demand(tools: &Value, choice: &Value) -> Result<Option<Demand>, super::ChatError> {
        Wishes { tools: Some(tools), choice: Some(choice), ..Wishes::default() }.demand()
    }

    #[test]
    fn tools_of_both_forms_are_read() {
        let schema = json!({ "properties": { "city": { "type": "string" } } });
        let function = json!({ "name": "get_weather", "description": "Now", "parameters": schema });
        let wrapped = json!([{ "type": "function", "function": function }]);
        let mut bare = function.clone();
        bare["type"] = "function".into();
        let one = json!({ "type": "function", "function": { "name": "get_weather" } });
        let demand = parse_demand(&wrapped, &one).unwrap().unwrap();
        assert_eq!(demand.choice, ClientChoice::Named("get_weather".into()));
        assert_eq!((demand.tools[0].about.as_str(), demand.must_call()), ("Now", true));
        assert!(demand.tools[0].schema.0.contains(r#""type":"object""#));
        let same = parse_demand(&json!([bare]), &json!("required")).unwrap().unwrap();
        assert_eq!((same.tools, same.choice), (demand.tools, ClientChoice::Required));
        assert_eq!(parse_demand(&json!([]), &json!("none")).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_place() {
        let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
        let auto = json!("auto");
        let long = "d".repeat(70_000);
        for (tools, choice, param) in [
            (json!({}), auto.clone(), "tools"),
            (json!([{ "type": "web_search" }]), auto.clone(), "tools[0].type"),
            (json!([tool("a b")]), auto.clone(), "tools[0].function.name"),
            (json!([{ "type": "function", "name": "" }]), auto.clone(), "tools[0].name"),
            (json!([tool("a"), tool("a")]), auto.clone(), "tools[1].function.name"),
            (json!([tool("a"), tool("a_client")]), auto.clone(), "tools[1].function.name"),
            (
                json!([{ "type": "function", "name": "a", "description": long }]),
                auto.clone(),
                "tools",
            ),
            (
                json!([{ "type": "function", "name": "a", "parameters": 5 }]),
                auto,
                "tools[0].parameters",
            ),
            (json!([tool("a")]), json!("maybe"), "tool_choice"),
            (json!([tool("a")]), json!({ "type": "function", "name": "b" }), "tool_choice"),
            (json!([]), json!("required"), "tool_choice"),
        ] {
            let error = parse_demand(&tools, &choice).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{tools}");
        }
    }

    #[test]
    fn the_form_of_an_answer_is_read_in_both_ways() {
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
        let inner = json!({ "name": "place", "schema": schema, "strict": true });
        let wrapped = json!({ "type": "json_schema", "json_schema": inner });
        let mut bare = inner.clone();
        bare["type"] = json!("json_schema");
        let parse = |form: &Value, choice: &Value| {
            let (tools, param) = (json!([{ "type": "function", "name": "a" }]), "response_format");
            let form = Some((param, form));
            let wishes =
                Wishes { tools: Some(&tools), choice: Some(choice), form, ..Wishes::default() };
            wishes.demand()
        };
        let auto = json!("auto");
        let demand = parse(&wrapped, &auto).unwrap().unwrap();
        let form = demand.form().unwrap();
        assert_eq!((form.name.as_str(), form.strict), ("place", Some(true)));
        assert_eq!(form.schema.as_ref().unwrap().0, schema.to_string());
        assert_eq!(parse(&bare, &auto).unwrap().unwrap().form(), Some(form));
        assert_eq!(demand.offered().len(), 1);
        assert!(parse(&bare, &json!("none")).unwrap().unwrap().offered().is_empty());
        let object = parse(&json!({ "type": "json_object" }), &auto).unwrap().unwrap();
        assert_eq!(object.form().unwrap().schema, None);
        assert_eq!(parse(&json!({ "type": "text" }), &auto).unwrap().unwrap().form(), None);
        for (form, choice, param) in [
            (json!({ "type": "xml" }), auto.clone(), "response_format"),
            (json!({}), auto.clone(), "response_format"),
            (wrapped.clone(), json!("required"), "response_format"),
            (json!({ "type": "json_schema" }), auto.clone(), "response_format.json_schema.name"),
            (
                json!({ "type": "json_schema", "json_schema": {} }),
                auto.clone(),
                "response_format.json_schema.name",
            ),
            (json!({ "type": "json_schema", "schema": {} }), auto.clone(), "response_format.name"),
            (
                json!({ "type": "json_schema", "json_schema": { "name": "a" } }),
                auto.clone(),
                "response_format.json_schema.schema",
            ),
            (
                json!({ "type": "json_schema", "name": "a", "schema": {}, "strict": 1 }),
                auto,
                "response_format.strict",
            ),
        ] {
            let error = parse(&form, &choice).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{form}");
        }
    }

    #[test]
    fn how_the_model_answers_is_read() {
        let stop = json!(["END", ""]);
        let wishes = Wishes {
            limits: &[("max_completion_tokens", Some(50)), ("max_tokens", Some(9))],
            temperature: Some(0.7),
            top_p: Some(0.95),
            stop: Some(&stop),
            ..Wishes::default()
        };
        let demand = wishes.demand().unwrap().unwrap();
        assert_eq!(
            (demand.max_output, demand.temperature, demand.top_p),
            (Some(50), Some(700), Some(950))
        );
        assert_eq!(demand.stop, ["END"]);
        assert_eq!(Wishes::default().demand().unwrap(), None);
        let effort = |word| thinking("reasoning.effort", word);
        assert_eq!(effort(Some("high")).unwrap(), Some(Thinking::High));
        assert_eq!(effort(None).unwrap(), None);
        let strange = effort(Some("huge")).unwrap_err();
        assert_eq!(strange.param.as_deref(), Some("reasoning.effort"));
    }
}
