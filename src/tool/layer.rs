//! Tools beyond the static registry: those of servers and plugins that people connected to a workspace.
//!
//! A [`Layer`] has the tools of one kind of source, by workspace and agent. The engine asks all layers before each
//! step, so that a withdrawn approval applies at once, and looks tools up in the resulting [`Toolset`]. Layers have
//! only pure and external tools, which run on the primary.

use std::sync::Arc;

use app::Ws;
use kernel::AgentId;
use store::StoreError;

use super::registry::Entry;
use super::{Registry, Tools, args};

/// Separates the server from the tool in the name of a connected server's tool. The names of HQ's own tools never have it.
pub const SEPARATOR: &str = "__";

/// Tools of one kind of source. All functions are called often, also while no tool is used: implementations cache.
pub trait Layer: Send + Sync {
    /// The tools that an agent may use now: approved, not turned off for it, with a usable schema.
    ///
    /// # Errors
    /// If the store fails.
    fn tools(&self, ws: &Ws, agent: AgentId) -> Result<Arc<Registry>, StoreError>;

    /// One prompt line per source of the agent's tools, in an order that only changes with the sources.
    ///
    /// # Errors
    /// If the store fails.
    fn prompt(&self, ws: &Ws, agent: AgentId) -> Result<Vec<String>, StoreError>;

    /// Why a tool that the layer knows is not among the agent's tools now, in a text for the model. `None` for an
    /// unknown tool.
    ///
    /// # Errors
    /// If the store fails.
    fn why_not(&self, ws: &Ws, agent: AgentId, tool: &str) -> Result<Option<String>, StoreError>;
}

/// All layers, in the order in which tools are looked up.
#[derive(Clone, Default)]
pub struct Layers {
    all: Arc<[Arc<dyn Layer>]>,
}

impl Layers {
    /// Layers in this order.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Layer>>) -> Self {
        Self { all: all.into() }
    }

    /// These layers after those of `first`.
    #[must_use]
    pub fn after(self, first: Vec<Arc<dyn Layer>>) -> Self {
        Self { all: first.into_iter().chain(self.all.iter().cloned()).collect() }
    }

    /// The layers that a workspace has on this machine: none on a host, because layers' tools run on the primary.
    fn of(&self, ws: &Ws) -> &[Arc<dyn Layer>] {
        if ws.upstream.is_some() { &[] } else { &self.all }
    }

    /// The tools of an agent: the base registry and those of all layers.
    ///
    /// # Errors
    /// If the store fails.
    pub fn toolset(&self, base: &Tools, ws: &Ws, agent: AgentId) -> Result<Toolset, StoreError> {
        let layers = self.of(ws).iter().map(|layer| layer.tools(ws, agent));
        Ok(Toolset::new(Arc::clone(base), layers.collect::<Result<_, _>>()?))
    }

    /// The prompt lines of all layers.
    ///
    /// # Errors
    /// If the store fails.
    pub fn prompt(&self, ws: &Ws, agent: AgentId) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        for layer in self.of(ws) {
            lines.append(&mut layer.prompt(ws, agent)?);
        }
        Ok(lines)
    }

    /// Why a known tool is not available to an agent now; `None` if no layer knows it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn why_not(
        &self,
        ws: &Ws,
        agent: AgentId,
        tool: &str,
    ) -> Result<Option<String>, StoreError> {
        for layer in self.of(ws) {
            if let Some(why) = layer.why_not(ws, agent, tool)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }
}

/// The tools of an agent at one moment. The base registry takes precedence, then the first layer with the name.
#[derive(Clone, Default)]
pub struct Toolset {
    base: Tools,
    layers: Vec<Tools>,
}

impl From<Tools> for Toolset {
    fn from(base: Tools) -> Self {
        Self::new(base, Vec::new())
    }
}

impl Toolset {
    /// The tools of the base registry and of layers.
    #[must_use]
    pub fn new(base: Tools, layers: Vec<Tools>) -> Self {
        Self { base, layers }
    }

    /// Finds a tool by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.base.get(name).or_else(|| self.layers.iter().find_map(|layer| layer.get(name)))
    }

    /// The tools of the layers, by layer and name.
    pub fn of_layers(&self) -> impl Iterator<Item = &Entry> {
        let all = self.layers.iter().enumerate();
        all.flat_map(move |(at, layer)| layer.iter().map(move |entry| (at, entry))).filter_map(
            |(at, entry)| {
                let name = &*entry.spec.name;
                let hidden = self.base.get(name).is_some()
                    || self.layers[..at].iter().any(|earlier| earlier.get(name).is_some());
                (!hidden).then_some(entry)
            },
        )
    }

    /// The three tool names closest to an unknown name.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        let all = self.base.iter().chain(self.of_layers());
        args::nearest(name, all.map(|entry| &*entry.spec.name), 3)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;

    use kernel::Can;
    use serde_json::{Map, Value, json};

    use super::Toolset;
    use crate::registry::{DynAct, Entry};
    use crate::{
        AnyTool, Effect, Group, Lease, Registry, Slot, ToolCx, ToolError, ToolOutput, ToolSpec,
    };

    struct Nothing;

    type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

    impl DynAct for Nothing {
        fn slot<'a>(&'a self, _: &'a ToolCx) -> Boxed<'a, Slot> {
            Box::pin(std::future::ready(Ok(Slot::default())))
        }

        fn act<'a>(&'a self, _: &'a ToolCx, _: Lease) -> Boxed<'a, ToolOutput> {
            Box::pin(std::future::ready(Ok(ToolOutput::text(""))))
        }
    }

    fn entry(name: &str, about: &str, schema: &Value) -> Entry {
        let spec = ToolSpec {
            name: name.to_owned().into(),
            group: Group::Connected,
            needs: Can::Write,
            effect: Effect::External,
            about: about.to_owned().into(),
        };
        let check =
            |given: &mut Map<String, Value>| match given.get("to").is_none_or(Value::is_string) {
                true => Ok(()),
                false => Err("\"to\" must be text".to_owned()),
            };
        let tool = AnyTool::Act(Box::new(Nothing));
        Entry::of_layer(spec, schema, Arc::new(check), tool).expect("its schema is usable")
    }

    fn layer(entries: impl IntoIterator<Item = Entry>) -> Arc<Registry> {
        let mut all = Registry::new();
        for entry in entries {
            assert!(all.put(entry));
        }
        Arc::new(all)
    }

    #[test]
    fn the_base_registry_wins_then_the_first_layer() {
        let of = |name: &str, about: &str| entry(name, about, &json!({}));
        let base = layer([of("read", "base")]);
        let first = layer([of("read", "first"), of("mail__send", "first")]);
        let second = layer([of("mail__send", "second"), of("mail__list", "second")]);
        let tools = Toolset::new(base, vec![first, second]);
        let about = |name: &str| tools.get(name).map(|entry| entry.spec.about.to_string());
        assert_eq!(about("read").as_deref(), Some("base"));
        assert_eq!(about("mail__send").as_deref(), Some("first"));
        assert_eq!(about("mail__list").as_deref(), Some("second"));
        assert_eq!(about("mail__drop"), None);
        let names: Vec<&str> = tools.of_layers().map(|entry| &*entry.spec.name).collect();
        assert_eq!(names, ["mail__send", "mail__list"]);
        assert_eq!(tools.nearest("mail_list")[0], "mail__list");
    }

    #[test]
    fn a_name_is_added_once() {
        let mut all = Registry::new();
        assert!(all.put(entry("a__b", "one", &json!({}))));
        assert!(!all.put(entry("a__b", "two", &json!({}))));
        assert_eq!(all.get("a__b").map(|entry| &*entry.spec.about), Some("one"));
    }

    #[test]
    fn arguments_of_a_layers_tool_are_checked_by_the_original_schema() {
        let schema = json!({ "properties": {
            "to": { "type": "string" }, "count": { "type": "integer" }, "note": { "type": ["string", "null"] },
            "filter[id]": { "type": "integer" },
        } });
        let entry = entry("mail__send", "Sends.", &schema);
        let canonical = |raw: &str| match entry.canonical(raw) {
            Ok(text) => text,
            Err(error) => error.into_output().expect("it is refused").text,
        };
        // A name that the simplified schema does not have may be one that the original allows.
        let given = r#"{"x": {"y": [1]}, "count": "3", "to": 7, "note": null}"#;
        assert_eq!(canonical(given), r#"{"count":3,"note":null,"to":"7","x":{"y":[1]}}"#);
        assert_eq!(canonical(r#"{"count": null}"#), "{}");
        assert_eq!(canonical(r#"{"filter_id_": "4"}"#), r#"{"filter[id]":4}"#);
        assert_eq!(canonical(r#"{"to": []}"#), r#"Error(invalid_args): "to" must be text"#);
        assert_eq!(canonical("[]"), "Error(invalid_args): the arguments must be one JSON object");
        let pinned = entry.definition;
        assert_ne!(pinned, self::entry("mail__send", "Sends!", &schema).definition);
        assert_eq!(entry.pinned([7; 32]).definition, [7; 32]);
    }
}
