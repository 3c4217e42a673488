//! Agent tools of a noun: `<word>_list`, `<word>_save`, and one per operation that is a tool.

use std::future::Future;
use std::pin::Pin;

use entity::{Field, Fields, Mode, Values, When};
use features::runs::model::Place;
use features::runs::queries::taint;
use kernel::{Assignee, Error};
use serde_json::{Map, Value, json};
use store::{Read, WriteTx};
use tool::registry::{AnyTool, Commit, DynRead, DynWrite, Registry};
use tool::{Effect, Lease, Looks, ToolCx, ToolError, ToolOutput, ToolSpec};

use crate::names;
use crate::records::{self, PageRequest, Reader};
use crate::schema::{self, For};
use crate::{Noun, On, Op, OpCx, Reply, api};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

/// Maximum number of records per result.
const MOST: usize = 100;

/// The tools of a noun.
#[must_use]
pub fn registry(noun: &'static Noun) -> Registry {
    let mut tools = Registry::new();
    let word = noun.entity.word;
    let spec = |name: String, effect, needs, about: &'static str| ToolSpec {
        name: name.into(),
        group: noun.tools.group,
        needs,
        effect,
        about: about.into(),
    };
    if !noun.tools.list.is_empty() {
        let spec = spec(format!("{word}_list"), Effect::Read, noun.entity.read, noun.tools.list);
        let tool = AnyTool::Read(Box::new(List(noun)));
        tools = tools.dynamic(spec, list_schema(noun), tool);
    }
    if !noun.tools.save.is_empty() {
        let spec = spec(format!("{word}_save"), Effect::Add, noun.write, noun.tools.save);
        let tool = AnyTool::Write(Box::new(Save(noun)));
        tools = tools.dynamic(spec, save_schema(noun), tool);
    }
    for op in noun.ops.iter().filter(|op| op.tool) {
        let spec = spec(format!("{word}_{}", op.name), op.effect, op.can, op.about);
        let tool = AnyTool::Write(Box::new(Operate(noun, op)));
        tools = tools.dynamic(spec, op_schema(noun, op), tool);
    }
    tools
}

fn list_schema(noun: &Noun) -> Value {
    let mut properties = Map::new();
    if let Some(select) = noun.select {
        let params = slim(schema::body(select.params, For::Create));
        properties.extend(params["properties"].as_object().cloned().unwrap_or_default());
    }
    if noun.is_paged() {
        let about = "next of the previous page";
        properties.insert("q".to_owned(), json!({ "type": "string", "description": "words" }));
        properties.insert("after".to_owned(), json!({ "type": "string", "description": about }));
    }
    json!({ "type": "object", "properties": properties })
}

/// The argument that names a record.
fn which(noun: &Noun, about: &str) -> (String, Value) {
    (noun.entity.word.to_owned(), json!({ "type": "string", "description": about }))
}

fn save_schema(noun: &'static Noun) -> Value {
    let mut schema = schema::body(noun.entity.fields, For::Change);
    for field in noun.entity.fields.iter().filter(|field| field.input.when == When::Create) {
        schema["properties"][field.key] = field.schema(false);
    }
    let mut schema = slim(schema);
    let (name, one) = which(noun, "the name or id of one to change; omit to create one");
    schema["properties"][name] = one;
    schema
}

fn op_schema(noun: &'static Noun, op: &'static Op) -> Value {
    let mut schema = slim(schema::body(op.input, For::Create));
    if op.on == On::One {
        let (name, one) = which(noun, "its name or id");
        schema["properties"][&name] = one;
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        schema["required"] = [json!(name)].into_iter().chain(required).collect();
    }
    schema
}

/// Removes schema keywords that models do not need. Every byte is paid for in each call.
fn slim(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.remove("additionalProperties");
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            for noise in ["nullable", "minimum", "maximum"] {
                property.remove(noise);
            }
        }
    }
    schema
}

/// A record for a model, without empty fields.
fn brief(fields: Fields) -> Fields {
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    fields.into_iter().filter(|(_, value)| is_set(value)).collect()
}

fn arguments(lease: &Lease) -> Result<Map<String, Value>, ToolError> {
    let text = match lease.arguments() {
        "" => "{}",
        text => text,
    };
    serde_json::from_str(text)
        .map_err(|error| ToolError::refused("invalid_args", error.to_string()))
}

/// Takes the argument that names a record out of the arguments.
fn named(noun: &Noun, given: &mut Map<String, Value>) -> Result<Option<String>, ToolError> {
    let word = noun.entity.word;
    match given.remove(word) {
        Some(Value::String(name)) => Ok(Some(name)),
        None | Some(Value::Null) => Ok(None),
        Some(_) => {
            let message = format!("`{word}` takes the name or id of {}", noun.entity.a());
            Err(ToolError::refused("invalid_args", message))
        }
    }
}

/// The record as a place of untrusted content.
fn place(key: &[u8]) -> Option<Place> {
    kernel::key::decode(key).map(Place::Record)
}

/// Parses argument values. `"none"` and empty text clear a field.
fn values(
    fields: &'static [Field],
    cx: &ToolCx,
    tx: &WriteTx<'_>,
    given: Map<String, Value>,
    mode: Mode,
) -> Result<Values, Error> {
    names::values(fields, given, mode, (tx, Assignee::Agent(cx.agent))).map_err(as_arguments)
}

/// Replaces the code of argument errors with the one that tools use.
fn as_arguments(error: Error) -> Error {
    if error.is("bad_json") { error.with_code("invalid_args") } else { error }
}

struct List(&'static Noun);

impl DynRead for List {
    fn looks(&self) -> Looks {
        Looks::Home
    }

    fn read<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput> {
        Box::pin(std::future::ready(list(self.0, cx, &lease)))
    }
}

fn list(noun: &'static Noun, cx: &ToolCx, lease: &Lease) -> Result<ToolOutput, ToolError> {
    let given = arguments(lease)?;
    let text = |key: &str| given.get(key).and_then(Value::as_str);
    let reader = Reader::agent(cx.agent);
    cx.ws.read(|snap| {
        let params = noun.select.map_or(&[][..], |select| select.params);
        let named = given.iter().filter(|(key, _)| params.iter().any(|field| field.key == *key));
        let sent = named.map(|(key, value)| (key.clone(), value.clone())).collect();
        let request = PageRequest {
            after: text("after"),
            words: text("q").unwrap_or_default(),
            limit: if noun.is_paged() { MOST } else { 0 },
            params: names::values(params, sent, Mode::Whole, (snap, reader.me))?,
        };
        let page = records::list(noun, snap, reader, &request)?;
        let places: Vec<Place> = page.items.iter().filter_map(|one| place(&one.key)).collect();
        let items: Vec<Fields> = page.items.into_iter().map(|one| brief(one.fields)).collect();
        let output = match page.next {
            None => ToolOutput::of(&items),
            Some(next) => ToolOutput::of(&json!({ "items": items, "next": next })),
        };
        Ok::<_, ToolError>(taint::shown(snap, cx, places, output)?)
    })
}

struct Save(&'static Noun);

impl DynWrite for Save {
    fn ready<'a>(&'a self, _: &'a ToolCx, lease: Lease) -> Boxed<'a, Commit> {
        let noun = self.0;
        let commit = arguments(&lease).map(|given| {
            Box::new(move |cx: &ToolCx, tx: &mut WriteTx<'_>| save(noun, cx, tx, given)) as Commit
        });
        Box::pin(std::future::ready(commit))
    }
}

fn save(
    noun: &'static Noun,
    cx: &ToolCx,
    tx: &mut WriteTx<'_>,
    mut given: Map<String, Value>,
) -> Result<ToolOutput, ToolError> {
    let reader = Reader::agent(cx.agent);
    let fields = noun.entity.fields;
    let (key, verb) = match named(noun, &mut given)? {
        Some(name) => {
            let key = records::find(noun, tx, reader, &name)?;
            let values = values(fields, cx, tx, given, Mode::Change)?;
            noun.entity.update(tx, &key, None, &values)?;
            (key, "Saved")
        }
        None => {
            let values = values(fields, cx, tx, given, Mode::Whole)?;
            (noun.entity.create(tx, &values)?, "Created")
        }
    };
    let title = records::title(noun, tx, &key)?;
    Ok(ToolOutput::text(format!("{verb} the {} \"{title}\".", noun.entity.one)))
}

struct Operate(&'static Noun, &'static Op);

impl DynWrite for Operate {
    fn ready<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, Commit> {
        let Self(noun, op) = *self;
        let ws = cx.ws.clone();
        let agent = cx.agent;
        Box::pin(async move {
            let mut given = arguments(&lease)?;
            let name = named(noun, &mut given)?;
            let work = move |ws: &app::Ws| -> Result<_, Error> {
                let reader = Reader::agent(agent);
                let key = match op.on {
                    On::All => None,
                    On::One => {
                        let name = name.unwrap_or_default();
                        Some(ws.read(|snap| records::find(noun, snap, reader, &name))?)
                    }
                };
                let values = ws.read(|snap| {
                    let by = (snap as &dyn Read, Assignee::Agent(agent));
                    names::values(op.input, given, Mode::Whole, by).map_err(as_arguments)
                })?;
                let prepared = api::prepare(noun, op, key.as_deref(), &values, ws)?;
                Ok((key, values, prepared))
            };
            let (key, values, prepared) = ws.read_blocking(work).await?;
            let commit = move |cx: &ToolCx, tx: &mut WriteTx<'_>| {
                if let Some(key) = &key {
                    records::check(noun, tx, Reader::agent(agent), key, None)?;
                }
                let at = OpCx { noun, key: key.as_deref(), input: &values };
                let reply = api::run(op, &at, tx, prepared)?;
                output(noun, tx, cx, reply)
            };
            Ok(Box::new(commit) as Commit)
        })
    }
}

fn output(
    noun: &'static Noun,
    tx: &WriteTx<'_>,
    cx: &ToolCx,
    reply: Reply,
) -> Result<ToolOutput, ToolError> {
    Ok(match reply {
        Reply::Record(key) => {
            let fields = records::one(noun, tx, Reader::agent(cx.agent), &key)?.fields;
            taint::shown(tx, cx, place(&key), ToolOutput::of(&brief(fields)))?
        }
        Reply::Json(text) => ToolOutput::text(text),
        Reply::Empty => ToolOutput::text("Done."),
    })
}
