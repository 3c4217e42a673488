//! The registry: name to tool, kept by kind so that the engine matches on the kind.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    ActTool, Aliases, FilePlan, FileTool, Lease, Looks, ReadTool, Slot, ToolCx, ToolError,
    ToolOutput, ToolSpec, WriteTool, args, masks,
};
use kernel::Can;
use store::WriteTx;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

/// The change of a workspace tool, ready to run inside the engine's transaction.
pub type Commit =
    Box<dyn FnOnce(&ToolCx, &mut WriteTx<'_>) -> Result<ToolOutput, ToolError> + Send>;

/// A [`ReadTool`] without its types.
pub trait DynRead: Send + Sync {
    /// Where it finds its facts.
    fn looks(&self) -> Looks;
    /// Does it with the arguments of the lease.
    fn read<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput>;
}

/// A [`WriteTool`] without its types.
pub trait DynWrite: Send + Sync {
    /// Prepares with the arguments of the lease, and gives the change.
    fn ready<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, Commit>;
}

/// A [`FileTool`] without its types.
pub trait DynFile: Send + Sync {
    /// Plans the change with the arguments of the lease.
    fn plan<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, FilePlan>;
}

/// An [`ActTool`] without its types.
pub trait DynAct: Send + Sync {
    /// Waits until the call may begin.
    fn slot<'a>(&'a self, cx: &'a ToolCx) -> Boxed<'a, Slot>;
    /// Does it with the arguments of the lease.
    fn act<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput>;
}

struct Adapter<T> {
    tool: std::sync::Arc<T>,
}

impl<T: ReadTool> DynRead for Adapter<T> {
    fn looks(&self) -> Looks {
        T::LOOKS
    }

    fn read<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput> {
        Box::pin(async move { self.tool.read(cx, args::leased(&lease)?).await })
    }
}

impl<T: WriteTool> DynWrite for Adapter<T> {
    fn ready<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, Commit> {
        Box::pin(async move {
            let read: T::Args = args::leased(&lease)?;
            let ready = self.tool.ready(cx, &read).await?;
            let tool = std::sync::Arc::clone(&self.tool);
            Ok(Box::new(move |cx: &ToolCx, tx: &mut WriteTx<'_>| tool.commit(cx, tx, read, ready))
                as Commit)
        })
    }
}

impl<T: FileTool> DynFile for Adapter<T> {
    fn plan<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, FilePlan> {
        Box::pin(async move {
            masks::kept_out(cx, self.tool.plan(cx, args::leased(&lease)?).await?).await
        })
    }
}

impl<T: ActTool> DynAct for Adapter<T> {
    fn slot<'a>(&'a self, cx: &'a ToolCx) -> Boxed<'a, Slot> {
        Box::pin(self.tool.slot(cx))
    }

    fn act<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput> {
        Box::pin(async move { self.tool.act(cx, args::leased(&lease)?).await })
    }
}

/// A tool of one of the four kinds.
pub enum AnyTool {
    /// Pure.
    Read(Box<dyn DynRead>),
    /// Workspace.
    Write(Box<dyn DynWrite>),
    /// File.
    File(Box<dyn DynFile>),
    /// External.
    Act(Box<dyn DynAct>),
}

/// A registered tool.
pub struct Entry {
    /// What it says of itself.
    pub spec: ToolSpec,
    /// The JSON schema of its arguments.
    pub schema: Value,
    /// Other names of its arguments.
    pub aliases: Aliases,
    /// SHA-256 of its words, its effect and the schema: of all that it says of itself.
    pub definition: [u8; 32],
    /// The tool.
    pub tool: AnyTool,
}

impl Entry {
    /// Arguments as a model sent them, with the names and kinds that the schema has, as canonical JSON.
    ///
    /// # Errors
    /// What is wrong, for the model.
    pub fn canonical(&self, raw: &str) -> Result<String, ToolError> {
        args::canonical(raw, &self.schema, self.aliases)
    }
}

/// All tools by name.
#[derive(Default)]
pub struct Registry {
    tools: BTreeMap<&'static str, Entry>,
}

impl Registry {
    /// No tools.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn add<A: JsonSchema>(self, spec: ToolSpec, aliases: Aliases, tool: AnyTool) -> Self {
        self.insert(spec, schema_of::<A>(), aliases, tool)
    }

    /// Adds a tool whose arguments have no type: it reads those of its lease by itself.
    #[must_use]
    pub fn dynamic(self, spec: ToolSpec, schema: Value, tool: AnyTool) -> Self {
        self.insert(spec, schema, &[], tool)
    }

    fn insert(mut self, spec: ToolSpec, schema: Value, aliases: Aliases, tool: AnyTool) -> Self {
        let definition = defined(&spec, &schema);
        let entry = Entry { spec, schema, aliases, definition, tool };
        let before = self.tools.insert(spec.name, entry);
        assert!(before.is_none(), "invariant: tool {} is registered once", spec.name);
        self
    }

    /// Adds a pure tool.
    #[must_use]
    pub fn read<T: ReadTool>(self, tool: T) -> Self {
        let tool = AnyTool::Read(Box::new(Adapter { tool: std::sync::Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds a workspace tool.
    #[must_use]
    pub fn write<T: WriteTool>(self, tool: T) -> Self {
        let tool = AnyTool::Write(Box::new(Adapter { tool: std::sync::Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds a file tool.
    #[must_use]
    pub fn file<T: FileTool>(self, tool: T) -> Self {
        let tool = AnyTool::File(Box::new(Adapter { tool: std::sync::Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds an external tool.
    #[must_use]
    pub fn act<T: ActTool>(self, tool: T) -> Self {
        let tool = AnyTool::Act(Box::new(Adapter { tool: std::sync::Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Takes over all tools of another registry.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (name, entry) in other.tools {
            let before = self.tools.insert(name, entry);
            assert!(before.is_none(), "invariant: tool {name} is registered once");
        }
        self
    }

    /// Only the tools that need what is allowed.
    #[must_use]
    pub fn within(mut self, may: impl Fn(Can) -> bool) -> Self {
        self.tools.retain(|_, entry| may(entry.spec.needs));
        self
    }

    /// A tool by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.tools.get(name)
    }

    /// All tools.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.tools.values()
    }

    /// The three names most like an unknown one.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<&'static str> {
        args::nearest(name, self.tools.keys().copied(), 3)
    }
}

/// SHA-256 of what a tool says of itself, each part with its length before it.
fn defined(spec: &ToolSpec, schema: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (effect, schema) = (json!(spec.effect).to_string(), schema.to_string());
    for part in [spec.name, effect.as_str(), spec.needs.word(), spec.about, schema.as_str()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The schema of arguments without what models do not need: every byte is paid for in each call.
fn schema_of<A: JsonSchema>() -> Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<A>().to_value();
    slim(&mut schema);
    if let Value::Object(root) = &mut schema {
        // The type's docstring: the tool's own words say more.
        root.remove("description");
    }
    schema
}

fn slim(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for noise in
                ["title", "format", "$schema", "default", "minimum", "additionalProperties"]
            {
                // A property of that name is kept: only keywords of the schema itself go.
                if map.contains_key("type") || map.contains_key("anyOf") || map.contains_key("enum")
                {
                    map.remove(noise);
                }
            }
            without_null(map);
            for (key, inner) in map.iter_mut() {
                if key == "properties" {
                    if let Value::Object(properties) = inner {
                        properties.values_mut().for_each(slim);
                    }
                } else {
                    slim(inner);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(slim),
        _ => {}
    }
}

/// `Option<T>` is a property that may be left out; models need not be told of null.
fn without_null(map: &mut serde_json::Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|t| t != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            map.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(any)) = map.get("anyOf") {
        let real: Vec<Value> =
            any.iter().filter(|v| v.get("type") != Some(&Value::from("null"))).cloned().collect();
        if let [Value::Object(one)] = real.as_slice() {
            let one = one.clone();
            map.remove("anyOf");
            for (key, value) in one {
                map.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(words)) = map.get_mut("enum") {
        words.retain(|w| !w.is_null());
    }
}

#[cfg(test)]
mod tests {
    use kernel::Can;
    use serde_json::json;

    use super::defined;
    use crate::{Effect, Group, ToolSpec};

    #[test]
    fn a_definition_is_another_with_each_of_its_parts() {
        let (group, needs, effect) = (Group::Work, Can::Read, Effect::Read);
        let spec = ToolSpec { name: "look", group, needs, effect, about: "Looks." };
        let schema = json!({ "type": "object" });
        let same = defined(&spec, &schema);
        assert_eq!(same, defined(&spec, &json!({ "type": "object" })));
        for other in [
            ToolSpec { effect: Effect::External, ..spec },
            ToolSpec { needs: Can::Write, ..spec },
            ToolSpec { about: "Sends.", ..spec },
        ] {
            assert_ne!(same, defined(&other, &schema), "{other:?}");
        }
        assert_ne!(same, defined(&spec, &json!({ "type": "object", "properties": {} })));
    }
}
