//! Tool registry: maps names to tools, stored by kind so that the engine can match on the kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    ActTool, Aliases, FilePlan, FileTool, Lease, Looks, ReadTool, Slot, ToolCx, ToolError,
    ToolOutput, ToolSpec, WriteTool, args, masks,
    schema::{self, Simplified},
};
use kernel::Can;
use store::WriteTx;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

/// The change of a workspace tool, to be run in the engine's transaction.
pub type Commit =
    Box<dyn FnOnce(&ToolCx, &mut WriteTx<'_>) -> Result<ToolOutput, ToolError> + Send>;

/// A type-erased [`ReadTool`].
pub trait DynRead: Send + Sync {
    /// Where the tool gets its data.
    fn looks(&self) -> Looks;
    /// Executes the call with the lease's arguments.
    fn read<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput>;
}

/// A type-erased [`WriteTool`].
pub trait DynWrite: Send + Sync {
    /// Prepares the change with the lease's arguments.
    fn ready<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, Commit>;
}

/// A type-erased [`FileTool`].
pub trait DynFile: Send + Sync {
    /// Plans the change with the lease's arguments.
    fn plan<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, FilePlan>;
}

/// A type-erased [`ActTool`].
pub trait DynAct: Send + Sync {
    /// Waits until the call may start.
    fn slot<'a>(&'a self, cx: &'a ToolCx) -> Boxed<'a, Slot>;
    /// Executes the call with the lease's arguments.
    fn act<'a>(&'a self, cx: &'a ToolCx, lease: Lease) -> Boxed<'a, ToolOutput>;
}

struct Adapter<T> {
    tool: Arc<T>,
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
            let tool = Arc::clone(&self.tool);
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
    /// Pure tool.
    Read(Box<dyn DynRead>),
    /// Workspace tool.
    Write(Box<dyn DynWrite>),
    /// File tool.
    File(Box<dyn DynFile>),
    /// External tool.
    Act(Box<dyn DynAct>),
}

/// Checks canonical arguments against the original schema of a layer's tool, and may remove optional fields that are null.
/// The error text is for the model.
pub type Check = Arc<dyn Fn(&mut Map<String, Value>) -> Result<(), String> + Send + Sync>;

/// A registered tool.
pub struct Entry {
    /// Description of the tool.
    pub spec: ToolSpec,
    /// JSON schema of the arguments.
    pub schema: Value,
    /// Alternative argument names.
    pub aliases: Aliases,
    /// SHA-256 of the name, effect, capability, description and schema.
    pub definition: [u8; 32],
    /// Arguments that models know by another name, with their original names.
    pub renamed: Vec<(String, String)>,
    /// Check of the arguments; set for a layer's tools, whose arguments are otherwise accepted as they are.
    pub check: Option<Check>,
    /// The arguments of a layer's tool may leave the machine, also if the tool only reads.
    pub sends: bool,
    /// The implementation.
    pub tool: AnyTool,
}

impl Entry {
    /// A tool of a [`Layer`](super::Layer). Models read a simplified schema; `check` compares arguments with the
    /// original one.
    ///
    /// # Errors
    /// Why models cannot be told the schema.
    pub fn of_layer(
        spec: ToolSpec,
        original: &Value,
        check: Check,
        tool: AnyTool,
    ) -> Result<Self, schema::Unusable> {
        debug_assert!(
            matches!(tool, AnyTool::Read(_) | AnyTool::Act(_)),
            "invariant: layers have only pure and external tools"
        );
        let Simplified { schema, renamed } = schema::simplified(original)?;
        let definition = defined(&spec, original);
        Ok(Self {
            spec,
            schema,
            aliases: &[],
            definition,
            renamed,
            check: Some(check),
            sends: true,
            tool,
        })
    }

    /// Replaces the hash of the definition, to which approvals are bound.
    #[must_use]
    pub fn pinned(self, definition: [u8; 32]) -> Self {
        Self { definition, ..self }
    }

    /// Marks a tool whose source has no network access. In a conversation with untrusted content, long arguments of
    /// other reading tools need an approval.
    #[must_use]
    pub fn offline(self) -> Self {
        Self { sends: false, ..self }
    }

    /// Returns `true` for a tool of a [`Layer`](super::Layer).
    #[must_use]
    pub fn is_layered(&self) -> bool {
        self.check.is_some()
    }

    /// Converts arguments from a model to canonical JSON with the schema's names and types.
    ///
    /// # Errors
    /// Describes the problem to the model.
    pub fn canonical(&self, raw: &str) -> Result<String, ToolError> {
        match &self.check {
            None => args::canonical(raw, &self.schema, self.aliases),
            Some(check) => args::checked(raw, (&self.schema, &self.renamed), check),
        }
    }
}

/// All tools by name.
#[derive(Default)]
pub struct Registry {
    tools: BTreeMap<Cow<'static, str>, Entry>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn add<A: JsonSchema>(self, spec: ToolSpec, aliases: Aliases, tool: AnyTool) -> Self {
        self.insert(spec, schema_of::<A>(), aliases, tool)
    }

    /// Adds a tool with untyped arguments, which parses its lease's arguments itself.
    #[must_use]
    pub fn dynamic(self, spec: ToolSpec, schema: Value, tool: AnyTool) -> Self {
        self.insert(spec, schema, &[], tool)
    }

    fn insert(mut self, spec: ToolSpec, schema: Value, aliases: Aliases, tool: AnyTool) -> Self {
        let (name, definition) = (spec.name.clone(), defined(&spec, &schema));
        let entry = Entry {
            spec,
            schema,
            aliases,
            definition,
            renamed: Vec::new(),
            check: None,
            sends: false,
            tool,
        };
        assert!(self.put(entry), "invariant: tool {name} is registered once");
        self
    }

    /// Adds a tool, unless its name is taken. Returns whether it was added.
    #[must_use]
    pub fn put(&mut self, entry: Entry) -> bool {
        let name = entry.spec.name.clone();
        let is_free = !self.tools.contains_key(&name);
        if is_free {
            self.tools.insert(name, entry);
        }
        is_free
    }

    /// Adds a pure tool.
    #[must_use]
    pub fn read<T: ReadTool>(self, tool: T) -> Self {
        let tool = AnyTool::Read(Box::new(Adapter { tool: Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds a workspace tool.
    #[must_use]
    pub fn write<T: WriteTool>(self, tool: T) -> Self {
        let tool = AnyTool::Write(Box::new(Adapter { tool: Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds a file tool.
    #[must_use]
    pub fn file<T: FileTool>(self, tool: T) -> Self {
        let tool = AnyTool::File(Box::new(Adapter { tool: Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds an external tool.
    #[must_use]
    pub fn act<T: ActTool>(self, tool: T) -> Self {
        let tool = AnyTool::Act(Box::new(Adapter { tool: Arc::new(tool) }));
        self.add::<T::Args>(T::SPEC, T::ALIASES, tool)
    }

    /// Adds all tools of another registry. Names must be unique.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (name, entry) in other.tools {
            assert!(self.put(entry), "invariant: tool {name} is registered once");
        }
        self
    }

    /// Keeps only tools whose capability is allowed.
    #[must_use]
    pub fn within(mut self, may: impl Fn(Can) -> bool) -> Self {
        self.tools.retain(|_, entry| may(entry.spec.needs));
        self
    }

    /// Finds a tool by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.tools.get(name)
    }

    /// All tools, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.tools.values()
    }

    /// The three tool names closest to an unknown name.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        args::nearest(name, self.tools.keys().map(|name| &**name), 3)
    }
}

/// SHA-256 of a tool's description, each part prefixed with its length.
fn defined(spec: &ToolSpec, schema: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (effect, schema) = (json!(spec.effect).to_string(), schema.to_string());
    for part in [&*spec.name, &effect, spec.needs.word(), &spec.about, &schema] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// JSON schema of the arguments without keywords that models do not need. Every byte is paid for in each call.
fn schema_of<A: JsonSchema>() -> Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<A>().to_value();
    slim(&mut schema);
    if let Value::Object(root) = &mut schema {
        // The tool's description replaces the type's docstring.
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
                // Removes only schema keywords, not a property of that name.
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

/// `Option<T>` is an optional property; models need not know about null.
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
        let spec =
            || ToolSpec { name: "look".into(), group, needs, effect, about: "Looks.".into() };
        let schema = json!({ "type": "object" });
        let same = defined(&spec(), &schema);
        assert_eq!(same, defined(&spec(), &json!({ "type": "object" })));
        for other in [
            ToolSpec { effect: Effect::External, ..spec() },
            ToolSpec { needs: Can::Write, ..spec() },
            ToolSpec { about: "Sends.".into(), ..spec() },
        ] {
            assert_ne!(same, defined(&other, &schema), "{other:?}");
        }
        assert_ne!(same, defined(&spec(), &json!({ "type": "object", "properties": {} })));
    }
}
