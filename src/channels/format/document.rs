//! A Markdown document as a flat list of leaf blocks. Each block knows the quotes and list items around it.

use std::rc::Rc;

use comrak::arena_tree::NodeEdge;
use comrak::nodes::{AstNode, ListType, NodeValue};
use comrak::{Arena, Options, parse_document};

use crate::table;

pub(crate) const BOLD: u8 = 1;
pub(crate) const ITALIC: u8 = 2;
pub(crate) const STRIKE: u8 = 4;
pub(crate) const CODE: u8 = 8;

/// Maximum depth of the syntax tree, and maximum number of container marks at the start of a line. A deeper text is shown
/// as source.
const MAX_DEPTH: usize = 100;
/// Maximum number of quotes and list items around a block.
const MAX_CONTAINERS: usize = 16;
/// Largest number of a list item that Markdown can state.
const MAX_NUMBER: usize = 999_999_999;

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub around: Vec<Container>,
    pub body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Quote(usize),
    Item(Item),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub id: usize,
    pub list: usize,
    pub number: Option<usize>,
    /// Whether the block is the first of the item, which carries the marker.
    pub is_first: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A heading, or a paragraph with level 0.
    Text {
        level: u8,
        spans: Vec<Span>,
    },
    Code {
        language: String,
        text: String,
    },
}

/// Text in one style. Line ends and whitespace at the edges have no style.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub text: String,
    pub style: u8,
    pub link: Option<Rc<str>>,
}

impl Container {
    pub(crate) fn id(self) -> usize {
        match self {
            Container::Quote(id) => id,
            Container::Item(item) => item.id,
        }
    }
}

impl Block {
    fn plain(around: Vec<Container>, text: &str) -> Self {
        let span = Span { text: clean(text), style: 0, link: None };
        Self { around, body: Body::Text { level: 0, spans: tidy(vec![span]) } }
    }

    pub(crate) fn is_blank(&self) -> bool {
        match &self.body {
            Body::Text { spans, .. } => spans.is_empty(),
            Body::Code { text, .. } => text.trim().is_empty(),
        }
    }
}

/// Parses Markdown. A text whose nesting is unreasonable becomes plain paragraphs.
pub(crate) fn parse(markdown: &str) -> Vec<Block> {
    if has_deep_line(markdown) {
        return as_source(markdown);
    }
    let arena = Arena::new();
    let root = parse_document(&arena, markdown, &options());
    let mut reader = Reader::default();
    let mut depth = 0_usize;
    for edge in root.traverse() {
        match edge {
            NodeEdge::Start(node) => {
                depth += 1;
                reader.enter(node);
            }
            NodeEdge::End(node) => {
                depth -= 1;
                reader.leave(&node.data.borrow().value);
            }
        }
        if depth > MAX_DEPTH || reader.around.len() > MAX_CONTAINERS {
            return as_source(markdown);
        }
    }
    reader.blocks
}

fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.autolink = true;
    options
}

/// Relative targets of links and images, each once.
pub(crate) fn paths(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    if has_deep_line(markdown) {
        return found;
    }
    let arena = Arena::new();
    for node in parse_document(&arena, markdown, &options()).descendants() {
        if let NodeValue::Link(link) | NodeValue::Image(link) = &node.data.borrow().value
            && let Some(path) = path(&link.url)
            && !found.contains(&path)
        {
            found.push(path);
        }
    }
    found
}

/// The path in a relative URL.
fn path(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let has_scheme = path.split('/').next().is_some_and(|first| first.contains(':'));
    if path.is_empty() || path.starts_with('/') || has_scheme {
        return None;
    }
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        bytes.extend(&part.as_bytes()[if code.is_some() { 2 } else { 0 }..]);
    }
    String::from_utf8(bytes).ok()
}

/// Whether a line starts with so many container marks that parsing could take quadratic time.
fn has_deep_line(markdown: &str) -> bool {
    markdown.split(['\n', '\r']).any(|line| {
        let rest = line.trim_start_matches(|c: char| " \t>-+*.)0123456789".contains(c));
        let marks = &line.as_bytes()[..line.len() - rest.len()];
        let quotes = marks.iter().filter(|mark| **mark == b'>').count();
        let is_item = |pair: &&[u8]| b"-+*.)".contains(&pair[0]) && b" \t".contains(&pair[1]);
        quotes + marks.windows(2).filter(is_item).count() > MAX_DEPTH
    })
}

fn as_source(markdown: &str) -> Vec<Block> {
    let text = markdown.replace("\r\n", "\n");
    let blocks = text.split("\n\n").map(|text| Block::plain(Vec::new(), text));
    blocks.filter(|block| !block.is_blank()).collect()
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    around: Vec<Container>,
    lists: Vec<List>,
    spans: Vec<Span>,
    /// Open marks of bold, italic and strikethrough.
    open: [usize; 3],
    links: Vec<Option<Rc<str>>>,
    /// Box of the task whose first block comes next.
    task: Option<&'static str>,
    last_id: usize,
}

struct List {
    id: usize,
    /// Number of the next item.
    next: Option<usize>,
}

impl Reader {
    fn enter<'a>(&mut self, node: &'a AstNode<'a>) {
        let value = &node.data.borrow().value;
        let task = self.task.take_if(|_| value.block());
        if let Some(task) = task.filter(|_| !matches!(value, NodeValue::Paragraph)) {
            self.append(Block::plain(Vec::new(), task));
        }
        match value {
            NodeValue::BlockQuote => {
                let id = self.new_id();
                self.around.push(Container::Quote(id));
            }
            NodeValue::List(list) => {
                let next = (list.list_type == ListType::Ordered).then_some(list.start);
                let id = self.new_id();
                self.lists.push(List { id, next });
            }
            NodeValue::Item(_) => self.enter_item(),
            NodeValue::TaskItem(task) => {
                self.enter_item();
                self.task = Some(if task.symbol.is_some() { "☑ " } else { "☐ " });
            }
            NodeValue::Paragraph | NodeValue::Heading(_) => {
                self.spans.clear();
                self.open = [0; 3];
                if let (NodeValue::Paragraph, Some(task)) = (value, task) {
                    self.push(task, 0);
                }
            }
            NodeValue::CodeBlock(code) => self.add_code(&code.info, &code.literal),
            NodeValue::Table(grid) => self.add_code("", &table::draw(node, &grid.alignments)),
            NodeValue::HtmlBlock(html) => self.add(Block::plain(Vec::new(), &html.literal)),
            NodeValue::ThematicBreak => self.add(Block::plain(Vec::new(), "———")),
            NodeValue::Text(text) => self.push(text, 0),
            NodeValue::Code(code) => self.push(&code.literal, CODE),
            NodeValue::HtmlInline(tag) => self.tag(tag),
            NodeValue::SoftBreak | NodeValue::LineBreak => self.push("\n", 0),
            NodeValue::Link(link) | NodeValue::Image(link) => {
                self.links.push(target(&link.url));
                if node.first_child().is_none() {
                    self.push(&link.url, 0);
                }
            }
            value => {
                if let Some(style) = style_index(value) {
                    self.open[style] += 1;
                }
            }
        }
    }

    fn leave(&mut self, value: &NodeValue) {
        match value {
            NodeValue::BlockQuote => {
                self.around.pop();
            }
            NodeValue::List(_) => {
                self.lists.pop();
            }
            NodeValue::Item(_) | NodeValue::TaskItem(_) => {
                if let Some(Container::Item(Item { is_first: true, .. })) = self.around.last() {
                    let task = self.task.take().unwrap_or_default();
                    self.append(Block::plain(Vec::new(), task));
                }
                self.around.pop();
            }
            NodeValue::Paragraph => self.add_text(0),
            NodeValue::Heading(heading) => self.add_text(heading.level),
            NodeValue::Link(_) | NodeValue::Image(_) => {
                self.links.pop();
            }
            value => {
                if let Some(style) = style_index(value) {
                    self.open[style] = self.open[style].saturating_sub(1);
                }
            }
        }
    }

    fn new_id(&mut self) -> usize {
        self.last_id += 1;
        self.last_id
    }

    fn enter_item(&mut self) {
        let id = self.new_id();
        let Some(list) = self.lists.last_mut() else { return };
        let number = list.next;
        list.next = number.map(|number| (number + 1).min(MAX_NUMBER));
        let item = Item { id, list: list.id, number, is_first: true };
        self.around.push(Container::Item(item));
    }

    fn add_text(&mut self, level: u8) {
        let spans = tidy(std::mem::take(&mut self.spans));
        self.add(Block { around: Vec::new(), body: Body::Text { level, spans } });
    }

    fn add_code(&mut self, info: &str, text: &str) {
        let is_name = |c: &char| c.is_alphanumeric() || "+-#._".contains(*c);
        let language = info.trim_start().chars().take_while(is_name).take(32).collect();
        let body = Body::Code { language, text: clean(text).trim_end().to_owned() };
        self.add(Block { around: Vec::new(), body });
    }

    fn add(&mut self, block: Block) {
        if !block.is_blank() {
            self.append(block);
        }
    }

    fn append(&mut self, mut block: Block) {
        block.around.clone_from(&self.around);
        self.blocks.push(block);
        for container in &mut self.around {
            if let Container::Item(item) = container {
                item.is_first = false;
            }
        }
    }

    /// Appends inline text in the current style.
    fn push(&mut self, text: &str, code: u8) {
        let bits = [BOLD, ITALIC, STRIKE].into_iter().zip(self.open);
        let style = bits.filter(|(_, open)| *open > 0).fold(code, |style, (bit, _)| style | bit);
        let link = self.links.iter().flatten().next().cloned();
        let mut text = clean(text);
        if link.is_some() || code != 0 {
            text = text.replace('\n', " ");
        }
        append(&mut self.spans, Span { text, style, link });
    }

    /// Inline HTML: a few tags have a meaning, all others are shown as typed.
    fn tag(&mut self, tag: &str) {
        let name = tag.trim_start_matches(['<', '/']).trim_end_matches(['>', '/', ' ']);
        let style = match name.to_ascii_lowercase().as_str() {
            "b" | "strong" => 0,
            "i" | "em" => 1,
            "s" | "del" => 2,
            "br" => return self.push("\n", 0),
            _ => return self.push(tag, 0),
        };
        let open = &mut self.open[style];
        *open = if tag.starts_with("</") { open.saturating_sub(1) } else { *open + 1 };
    }
}

fn style_index(value: &NodeValue) -> Option<usize> {
    match value {
        NodeValue::Strong => Some(0),
        NodeValue::Emph => Some(1),
        NodeValue::Strikethrough => Some(2),
        _ => None,
    }
}

/// The URL of a link, encoded so that no platform finds its delimiters in it; `None` if the scheme is not allowed.
fn target(url: &str) -> Option<Rc<str>> {
    let lower = url.get(..8.min(url.len())).unwrap_or_default().to_ascii_lowercase();
    let known = ["http://", "https://", "mailto:", "tg://"];
    if !known.iter().any(|scheme| lower.starts_with(scheme) && url.len() > scheme.len()) {
        return None;
    }
    let mut encoded = String::with_capacity(url.len());
    for c in clean(url).chars() {
        match c {
            ' ' | '<' | '>' | '|' | '\\' | '`' | '"' | '\0'..='\x1f' => {
                encoded.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => encoded.push(c),
        }
    }
    Some(encoded.into())
}

/// Removes bidi overrides, which could show text in another order, and unifies line ends.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.replace(|c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'), "")
}

/// Adds a span, joined to the last one if they differ in nothing but text.
pub(crate) fn append(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if last.style == span.style && last.link == span.link => {
            last.text.push_str(&span.text);
        }
        _ => spans.push(span),
    }
}

/// Removes whitespace at the start of lines and at the end, and takes the style from whitespace at the edges of spans.
pub(crate) fn tidy(spans: Vec<Span>) -> Vec<Span> {
    let mut tidied = Vec::with_capacity(spans.len());
    let mut is_start = true;
    for Span { text, style, link } in spans {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 && !is_start {
                append(&mut tidied, Span { text: "\n".to_owned(), style: 0, link: None });
                is_start = true;
            }
            let line = if is_start { line.trim_start_matches([' ', '\t']) } else { line };
            let (lead, rest) = line.split_at(line.len() - line.trim_start().len());
            let (words, tail) = rest.split_at(rest.trim_end().len());
            for (piece, style) in [(lead, 0), (words, style), (tail, 0)] {
                if !piece.is_empty() {
                    append(&mut tidied, Span { text: piece.to_owned(), style, link: link.clone() });
                    is_start = false;
                }
            }
        }
    }
    while let Some(last) = tidied.last_mut() {
        last.text.truncate(last.text.trim_end().len());
        if !last.text.is_empty() {
            break;
        }
        tidied.pop();
    }
    tidied
}
