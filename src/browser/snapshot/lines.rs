//! Converts the browser's accessibility tree to lines.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::clickable::Click;
use super::escape::Quoted;
use super::roles::{self, Kind};
use super::tree::FrameTree;
use crate::BrowserError;
use crate::protocol::{AxNode, AxNodes, AxWord};
use crate::refs::{Node, Refs};
use crate::tabs::Tab;

/// Maximum characters of a name or value.
const MAX_WORDS: usize = 160;
/// Maximum characters of a text.
const MAX_PROSE: usize = 500;
/// Maximum number of options on the line of a closed list.
const MAX_CHOICES: usize = 8;
/// Maximum number of clickable parts without a role.
const MAX_CLICKABLE: usize = 300;
/// Maximum characters of the name of such a part, and maximum number of tree nodes that are searched for it.
const MAX_CALLED: usize = 80;
const MAX_INSIDE: usize = 500;
/// Limit on the lines; further nodes are ignored.
const MAX_LINES: usize = 50_000;

/// The parts of a page.
pub(super) struct Lines {
    pub list: Vec<Line>,
    pub title: String,
    /// The part with the keyboard focus.
    pub focus: Option<u32>,
}

/// One part.
pub(super) struct Line {
    pub depth: usize,
    pub role: Box<str>,
    pub name: String,
    pub value: Option<String>,
    pub number: Option<u32>,
    pub state: String,
    /// Options of a closed list.
    pub choices: String,
    pub is_interactive: bool,
    pub is_text: bool,
}

impl Lines {
    pub(super) fn of(&self, number: u32) -> Option<&Line> {
        self.list.iter().find(|line| line.number == Some(number))
    }
}

impl Line {
    /// Whether name or value contain these lower-case words.
    pub(super) fn has(&self, words: &str) -> bool {
        let value = self.value.as_deref().unwrap_or_default();
        self.name.to_lowercase().contains(words) || value.to_lowercase().contains(words)
    }

    pub(super) fn write(&self, out: &mut String, with_text_refs: bool) {
        let max = if self.is_text { MAX_PROSE } else { MAX_WORDS };
        let named = self.is_text || !self.name.is_empty();
        let space = if self.role.is_empty() { "" } else { " " };
        let mut write = || {
            out.push_str(&self.role);
            if named {
                write!(out, "{space}{}", Quoted(&self.name, max))?;
            }
            if let Some(number) = self.number.filter(|_| !self.is_text || with_text_refs) {
                write!(out, " [e{number}]")?;
            }
            out.push_str(&self.state);
            if let Some(value) = &self.value {
                write!(out, " = {}", Quoted(value, MAX_WORDS))?;
            }
            out.push_str(&self.choices);
            std::fmt::Result::Ok(())
        };
        write().ok(); // ok: a string never fails
    }
}

/// Reads the trees of a page and assigns refs to its parts.
pub(super) fn read(
    trees: &[FrameTree],
    tab: &mut Tab,
    find: Option<&str>,
) -> Result<Lines, BrowserError> {
    let mut frames = Vec::new();
    for tree in trees {
        let nodes: AxNodes<'_> = serde_json::from_str(tree.nodes.get()).map_err(|source| {
            BrowserError::Unclear { method: "Accessibility.getFullAXTree", source }
        })?;
        frames.push(Read::new(tree, nodes.nodes));
    }
    let inner = frames
        .iter()
        .enumerate()
        .filter_map(|(at, frame)| Some((frame.tree.owner.clone()?, at)))
        .collect();
    let title = frames.first().and_then(|frame| text(frame.nodes.first()?.name.as_ref()));
    let mut walk = Walk {
        frames: &frames,
        inner,
        refs: &mut tab.refs,
        hidden: &tab.hidden,
        find: find.map(str::to_lowercase),
        lines: Lines { list: Vec::new(), title: title.unwrap_or_default(), focus: None },
        open_text: None,
        clickable: 0,
    };
    walk.all();
    let Walk { lines, refs, .. } = walk;
    refs.keep(&lines.list.iter().filter_map(|line| line.number).collect());
    Ok(lines)
}

/// The tree of a frame with an index by node id.
struct Read<'a> {
    tree: &'a FrameTree,
    nodes: Vec<AxNode<'a>>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Read<'a> {
    fn new(tree: &'a FrameTree, nodes: Vec<AxNode<'a>>) -> Self {
        let places = nodes.iter().enumerate().map(|(at, node)| (node.node_id, at)).collect();
        Self { tree, nodes, places }
    }

    /// Why a click on a node has an effect, if its role does not say so.
    fn click(&self, at: usize) -> Option<Click> {
        self.tree.clickable.get(&self.nodes[at].backend?).copied()
    }

    /// Summarises the contents of a node.
    fn inside(&self, at: usize) -> Inside {
        let mut inside = Inside::default();
        let mut left = vec![at];
        for _ in 0..MAX_INSIDE {
            let Some(now) = left.pop() else { break };
            let node = &self.nodes[now];
            let role = word_of(node.role.as_ref());
            let kind = if node.ignored {
                Kind::Through
            } else {
                roles::kind(role.as_deref().unwrap_or("none"))
            };
            if now != at && (kind == Kind::Interactive || self.click(now).is_some()) {
                inside.has_parts = true;
                continue;
            }
            let is_leaf = node.child_ids.is_empty();
            if kind == Kind::Text || (kind == Kind::Named && is_leaf) {
                inside.add(&text(node.name.as_ref()).unwrap_or_default());
            } else if kind != Kind::Nothing {
                left.extend(node.child_ids.iter().rev().filter_map(|id| self.places.get(id)));
            }
        }
        inside
    }
}

/// Contents of a part without a role.
#[derive(Default)]
struct Inside {
    /// Its words, without those of parts in it.
    own_words: String,
    has_parts: bool,
}

impl Inside {
    fn add(&mut self, words: &str) {
        for word in words.split_whitespace() {
            if MAX_CALLED <= self.own_words.chars().count() {
                return;
            }
            if !self.own_words.is_empty() {
                self.own_words.push(' ');
            }
            self.own_words.push_str(word);
        }
    }
}

/// Context of a node in the walk.
#[derive(Clone, Copy)]
struct Above {
    depth: usize,
    /// The nearest line above.
    line: Option<usize>,
    /// The frame and node whose texts are joined.
    block: (usize, usize),
    /// Whether an ancestor with its own role takes the clicks.
    is_pressed: bool,
}

struct Walk<'a, 'b> {
    frames: &'a [Read<'a>],
    /// Frames by the node that contains them.
    inner: HashMap<(Arc<str>, i64), usize>,
    refs: &'b mut Refs,
    hidden: &'b HashSet<u32>,
    find: Option<String>,
    lines: Lines,
    /// The block whose text is on the last line.
    open_text: Option<(usize, usize)>,
    /// Number of clickable parts so far.
    clickable: usize,
}

impl Walk<'_, '_> {
    fn all(&mut self) {
        if self.frames.is_empty() || self.frames[0].nodes.is_empty() {
            return;
        }
        // A stack instead of recursion, because pages may be arbitrarily deep.
        let mut left =
            vec![(0, 0, Above { depth: 0, line: None, block: (0, 0), is_pressed: false })];
        while let Some((frame, at, above)) = left.pop() {
            if MAX_LINES <= self.lines.list.len() {
                return;
            }
            let Some(below) = self.node(frame, at, above) else { continue };
            let read = &self.frames[frame];
            let node = &read.nodes[at];
            let children = node.child_ids.iter().rev().filter_map(|id| read.places.get(id));
            left.extend(children.map(|child| (frame, *child, below)));
            let key = node.backend.map(|backend| (Arc::clone(&read.tree.session), backend));
            if let Some(inner) = key.and_then(|key| self.inner.remove(&key))
                && !self.frames[inner].nodes.is_empty()
            {
                left.push((inner, 0, Above { block: (inner, 0), ..below }));
            }
        }
    }

    /// Writes the line of a node, if it has one. Returns the context for its children, or `None` to skip them.
    fn node(&mut self, frame: usize, at: usize, above: Above) -> Option<Above> {
        let node = &self.frames[frame].nodes[at];
        let role = word_of(node.role.as_ref());
        let role = role.as_deref().unwrap_or("none");
        let state = State::of(node);
        let mut kind = if node.ignored { Kind::Through } else { roles::kind(role) };
        if state.is_focusable && matches!(kind, Kind::Named | Kind::Block | Kind::Through) {
            let is_page = matches!(role, "RootWebArea" | "WebArea");
            kind = if is_page || node.ignored { kind } else { Kind::Interactive };
        }
        let name = text(node.name.as_ref()).unwrap_or_default();
        if let Some(called) = self.clickable((frame, at), (kind, role), above, &state) {
            let role = if node.ignored { "generic" } else { role };
            let name = if name.trim().is_empty() { called } else { name };
            let mut state = state;
            state.words.push_str(" clickable");
            self.clickable += 1;
            let found = Found { kind: Kind::Interactive, role, name, state };
            let below = self.part(frame, at, above, found)?;
            return Some(Above { is_pressed: above.is_pressed, ..below });
        }
        // Beyond the limit, the words of each such part still stay separate.
        let is_beyond = MAX_CLICKABLE <= self.clickable && self.frames[frame].click(at).is_some();
        let kind = if kind == Kind::Through && is_beyond { Kind::Block } else { kind };
        match kind {
            Kind::Nothing => None,
            Kind::Through => Some(above),
            Kind::Block => Some(Above { block: (frame, at), ..above }),
            Kind::Named if name.trim().is_empty() => Some(Above { block: (frame, at), ..above }),
            Kind::Text => {
                self.prose(frame, at, above, &name);
                None
            }
            Kind::Interactive | Kind::Container | Kind::Named => {
                self.part(frame, at, above, Found { kind, role, name, state })
            }
        }
    }

    /// The name of a clickable part without its own role, unless another part takes its place.
    fn clickable(
        &self,
        (frame, at): (usize, usize),
        (kind, role): (Kind, &str),
        above: Above,
        state: &State,
    ) -> Option<String> {
        let is_bare = matches!(kind, Kind::Named | Kind::Block | Kind::Through);
        let is_page = matches!(role, "RootWebArea" | "WebArea" | "LabelText");
        if !is_bare || is_page || above.is_pressed || MAX_CLICKABLE <= self.clickable {
            return None;
        }
        let click = self.frames[frame].click(at)?;
        if click == Click::Listener && state.is_editable {
            return None;
        }
        let inside = self.frames[frame].inside(at);
        match (click, inside.has_parts) {
            // A listener for its contents, or a mere wrapper of a part, is no part itself.
            (Click::Listener, true) => None,
            (Click::Pointer, true) if inside.own_words.is_empty() => None,
            _ => Some(inside.own_words),
        }
    }

    fn prose(&mut self, frame: usize, at: usize, above: Above, words: &str) {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_said = |line: usize| self.lines.list[line].name.contains(&words);
        if words.is_empty() || above.line.is_some_and(is_said) {
            return;
        }
        let is_found = self.find.as_ref().is_some_and(|find| words.to_lowercase().contains(find));
        let number = if is_found { self.number(frame, at) } else { None };
        if self.open_text == Some(above.block)
            && let Some(line) = self.lines.list.last_mut().filter(|line| line.is_text)
        {
            if line.name.len() < MAX_PROSE {
                line.name.push(' ');
                line.name.push_str(&words);
            }
            line.number = line.number.or(number);
            return;
        }
        self.open_text = Some(above.block);
        self.lines.list.push(Line {
            depth: above.depth,
            role: Box::default(),
            name: words,
            value: None,
            number,
            state: String::new(),
            choices: String::new(),
            is_interactive: false,
            is_text: true,
        });
    }

    fn part(&mut self, frame: usize, at: usize, above: Above, found: Found<'_>) -> Option<Above> {
        let node = &self.frames[frame].nodes[at];
        let Found { kind, role, name, state } = found;
        let is_named = kind != Kind::Named;
        let number = if is_named { self.number(frame, at) } else { None };
        if state.is_focused && number.is_some() {
            self.lines.focus = number;
        }
        let is_hidden = number.is_some_and(|number| self.hidden.contains(&number));
        let value = text(node.value.as_ref()).filter(|value| !value.is_empty() && *value != name);
        let mut state = state;
        let value = value.filter(|_| !is_hidden);
        if is_hidden {
            state.words.push_str(" hidden");
        }
        let writes = matches!(role, "textbox" | "searchbox" | "spinbutton" | "combobox");
        let choices = match role == "combobox" && !state.is_expanded {
            true => self.choices(frame, at),
            false => String::new(),
        };
        self.open_text = None;
        // The label of a field is also its name.
        let is_label = |line: &Line| line.is_text && line.depth == above.depth && line.name == name;
        self.lines.list.pop_if(|line| is_label(line));
        let line = self.lines.list.len();
        self.lines.list.push(Line {
            depth: above.depth,
            role: roles::word(role).into(),
            name,
            value,
            number,
            state: state.words,
            choices,
            is_interactive: kind == Kind::Interactive,
            is_text: false,
        });
        // The contents of a field are its value.
        let is_closed = writes && !state.is_expanded;
        let below = Above {
            depth: above.depth + 1,
            line: Some(line),
            block: (frame, at),
            is_pressed: above.is_pressed || roles::kind(role) == Kind::Interactive,
        };
        (!is_closed).then_some(below)
    }

    /// The options of a closed list.
    fn choices(&self, frame: usize, at: usize) -> String {
        let read = &self.frames[frame];
        let mut options = Vec::new();
        let mut left = vec![at];
        while let Some(at) = left.pop() {
            let node = &read.nodes[at];
            match word_of(node.role.as_ref()).as_deref() {
                Some("option") => options.push(node),
                _ => left.extend(node.child_ids.iter().rev().filter_map(|id| read.places.get(id))),
            }
        }
        let mut out = String::new();
        for option in options.iter().take(MAX_CHOICES) {
            let name = text(option.name.as_ref()).unwrap_or_default();
            let between = if out.is_empty() { " of " } else { " | " };
            write!(out, "{between}{}", Quoted(&name, 40)).ok(); // ok: a string never fails
        }
        if MAX_CHOICES < options.len() {
            write!(out, " and {} more", options.len() - MAX_CHOICES).ok(); // ok: as above
        }
        out
    }

    fn number(&mut self, frame: usize, at: usize) -> Option<u32> {
        let FrameTree { frame: id, session, loader, .. } = self.frames[frame].tree;
        let backend = self.frames[frame].nodes[at].backend?;
        let node = Node {
            session: Arc::clone(session),
            frame: id.clone(),
            loader: loader.clone(),
            backend,
        };
        Some(self.refs.number(&node))
    }
}

/// A node that gets a line.
struct Found<'a> {
    kind: Kind,
    role: &'a str,
    name: String,
    state: State,
}

/// The current state of a part.
#[derive(Default)]
struct State {
    words: String,
    is_focusable: bool,
    is_focused: bool,
    is_expanded: bool,
    is_editable: bool,
}

impl State {
    fn of(node: &AxNode<'_>) -> Self {
        let mut state = Self::default();
        for property in &node.properties {
            let Some(value) = property.value.value.map(RawValue::get) else { continue };
            let word = match (&*property.name, value.trim_matches('"')) {
                ("focusable", "true") => {
                    state.is_focusable = true;
                    continue;
                }
                ("focused", "true") => {
                    state.is_focused = true;
                    continue;
                }
                ("editable", _) => {
                    state.is_editable = true;
                    continue;
                }
                ("checked" | "pressed", "mixed") => "mixed",
                ("checked", "true") => "checked",
                ("checked", "false") => "unchecked",
                ("pressed", "true") => "pressed",
                ("expanded", "true") => {
                    state.is_expanded = true;
                    "expanded"
                }
                ("expanded", "false") => "collapsed",
                ("selected", "true") => "selected",
                ("disabled", "true") => "disabled",
                ("required", "true") => "required",
                ("readonly", "true") => "readonly",
                ("busy", "true") => "busy",
                ("modal", "true") => "modal",
                ("invalid", "true" | "spelling" | "grammar") => "invalid",
                ("level", level) if level.len() == 1 => level,
                _ => continue,
            };
            state.words.push(' ');
            state.words.push_str(word);
        }
        state
    }
}

/// A string without escapes, such as a role, is borrowed.
fn word_of<'a>(word: Option<&AxWord<'a>>) -> Option<std::borrow::Cow<'a, str>> {
    let raw = word?.value?.get();
    let bare = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    match bare {
        Some(bare) if !bare.contains('\\') => Some(bare.into()),
        _ => text(word).map(Into::into),
    }
}

fn text(word: Option<&AxWord<'_>>) -> Option<String> {
    let raw = word?.value?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}
