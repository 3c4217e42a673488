//! Writes blocks in the form of a platform, or as Markdown that parses back to the same blocks.

use std::cmp::Reverse;

use crate::TelegramEntity;
use crate::document::{self, BOLD, Block, Body, CODE, Container, ITALIC, STRIKE, Span};

const ZERO_WIDTH_SPACE: char = '\u{200B}';

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Markdown,
    Telegram,
    Discord,
    Slack,
}

pub(crate) struct Writer {
    form: Form,
    pub out: String,
    pub entities: Vec<TelegramEntity>,
    /// Length of `out`: UTF-16 units on Telegram, else characters.
    pub size: usize,
    /// Prefix of the later lines of the block.
    indent: String,
    line: Line,
    /// Containers of the last block, as written.
    last: Vec<Container>,
    /// For each of them, whether its list has the second kind of marker, which separates it from the list before.
    seconds: Vec<bool>,
    quote: Option<(usize, Mark)>,
}

/// What the current line has so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    Digits,
    Words,
}

/// A position in the output: bytes and size.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    size: usize,
}

pub(crate) fn all(blocks: &[Block], form: Form) -> Writer {
    let mut writer = Writer::new(form);
    for block in blocks {
        writer.block(block);
    }
    writer.end_quote();
    let is_inner = |entity: &TelegramEntity| entity.kind != "blockquote";
    let order = |entity: &TelegramEntity| (entity.offset, Reverse(entity.length), is_inner(entity));
    writer.entities.sort_by_key(order);
    writer
}

/// The most that a block can add to the size of a text.
pub(crate) fn cost(block: &Block, form: Form) -> usize {
    const SEPARATOR: usize = 4;
    let mut writer = Writer::new(form);
    writer.last.clone_from(&block.around);
    writer.seconds = vec![false; block.around.len()];
    writer.block(block);
    writer.size + SEPARATOR
}

impl Writer {
    fn new(form: Form) -> Self {
        Self {
            form,
            out: String::new(),
            entities: Vec::new(),
            size: 0,
            indent: String::new(),
            line: Line::Empty,
            last: Vec::new(),
            seconds: Vec::new(),
            quote: None,
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
        self.size += match self.form {
            Form::Telegram => text.encode_utf16().count(),
            _ => text.chars().count(),
        };
        if !text.is_empty() {
            self.line = Line::Words;
        }
    }

    fn new_line(&mut self) {
        let indent = std::mem::take(&mut self.indent);
        self.raw("\n");
        self.raw(&indent);
        self.indent = indent;
        self.line = Line::Empty;
    }

    fn block(&mut self, block: &Block) {
        // An item whose marker is in an earlier part is left out.
        let is_shown = |container: &&Container| match container {
            Container::Quote(_) => true,
            Container::Item(item) => {
                item.is_first || self.last.iter().any(|last| last.id() == item.id)
            }
        };
        let around: Vec<Container> = block.around.iter().filter(is_shown).copied().collect();
        let quote = around.iter().find(|one| matches!(one, Container::Quote(_)));
        let quote = quote.map(|quote| quote.id());
        if self.quote.is_some_and(|(id, _)| Some(id) != quote) {
            self.end_quote();
        }
        if !self.out.is_empty() {
            self.separate(&around);
        }
        if let (None, Some(id)) = (self.quote, quote) {
            self.quote = Some((id, self.mark()));
        }
        self.seconds = self.kinds(&around);
        self.last = around;
        let (first, rest) = self.prefixes(&self.last, &self.seconds);
        match &block.body {
            Body::Text { level, spans } => self.text_block(*level, spans, &first, rest),
            Body::Code { language, text } => self.code_block(language, text, &first, rest),
        }
    }

    /// Ends the last block, before one within `around`.
    fn separate(&mut self, around: &[Container]) {
        let common: Vec<Container> = self
            .last
            .iter()
            .filter(|last| around.iter().any(|one| one.id() == last.id()))
            .copied()
            .collect();
        if self.form == Form::Markdown {
            let (_, rest) = self.prefixes(&common, &self.seconds);
            self.raw(&format!("\n{}\n", rest.trim_end()));
            return;
        }
        let lists = |containers: &[Container]| -> Vec<usize> {
            let items = containers.iter().filter_map(|container| match container {
                Container::Item(item) => Some(item.list),
                Container::Quote(_) => None,
            });
            items.collect()
        };
        let before = lists(&self.last);
        if lists(around).iter().any(|list| before.contains(list)) {
            self.raw("\n");
        } else if self.form != Form::Telegram && self.quote.is_some() {
            self.raw("\n>\u{20}\n");
        } else {
            self.raw("\n\n");
        }
    }

    /// Chooses the kind of marker of each list, which differs from that of the list directly before.
    fn kinds(&self, around: &[Container]) -> Vec<bool> {
        let kind = |(depth, container): (usize, &Container)| {
            let by_depth = depth % 2 == 1;
            match (container, self.last.get(depth)) {
                (Container::Item(item), Some(Container::Item(last))) => {
                    let second = self.seconds.get(depth).copied().unwrap_or(by_depth);
                    if item.list == last.list { second } else { !second }
                }
                _ => by_depth,
            }
        };
        around.iter().enumerate().map(kind).collect()
    }

    /// Prefixes of the first and the later lines of a block.
    fn prefixes(&self, around: &[Container], seconds: &[bool]) -> (String, String) {
        let (mut first, mut rest, mut is_quoted) = (String::new(), String::new(), false);
        for (container, second) in around.iter().zip(seconds) {
            let Container::Item(item) = container else {
                is_quoted = true;
                if self.form == Form::Markdown {
                    first.push_str("> ");
                    rest.push_str("> ");
                }
                continue;
            };
            let marker = match (item.number, self.form, second) {
                (Some(number), Form::Markdown, true) => format!("{number}) "),
                (Some(number), ..) => format!("{number}. "),
                (None, Form::Markdown, true) => "* ".to_owned(),
                (None, Form::Markdown | Form::Discord, _) => "- ".to_owned(),
                (None, ..) => "• ".to_owned(),
            };
            let blank = " ".repeat(marker.chars().count());
            rest.push_str(&blank);
            if !item.is_first {
                first.push_str(&blank);
                continue;
            }
            first.push_str(&marker);
        }
        if is_quoted && matches!(self.form, Form::Discord | Form::Slack) {
            first.insert_str(0, "> ");
            rest.insert_str(0, "> ");
        }
        (first, rest)
    }

    fn text_block(&mut self, level: u8, spans: &[Span], first: &str, rest: String) {
        self.raw(first);
        self.line = Line::Empty;
        self.indent = rest;
        let has_marks = match self.form {
            Form::Markdown => level > 0,
            Form::Discord => (1..=3).contains(&level),
            Form::Telegram | Form::Slack => false,
        };
        if has_marks {
            self.raw(&"#".repeat(level.into()));
            self.raw(" ");
        }
        if level == 0 {
            return self.spans(spans);
        }
        let mut spans = spans.to_vec();
        for span in &mut spans {
            span.text = span.text.replace('\n', " ");
            if !has_marks && !span.text.trim().is_empty() {
                span.style |= BOLD;
            }
        }
        self.spans(&spans);
    }

    fn code_block(&mut self, language: &str, text: &str, first: &str, rest: String) {
        if self.form == Form::Markdown {
            let fence = "`".repeat(longest_run(text).max(2) + 1);
            self.raw(first);
            self.indent = rest;
            self.raw(&format!("{fence}{language}"));
            for line in text.split('\n').chain([fence.as_str()]) {
                self.new_line();
                self.raw(line);
            }
            return;
        }
        // Code in a list starts at the margin, because an indent would be part of the code.
        if first != rest {
            self.raw(first.trim_end());
            self.raw("\n");
        }
        self.indent.clear();
        if self.form == Form::Telegram {
            let start = self.mark();
            self.raw(text);
            let language = (!language.is_empty()).then(|| language.to_owned());
            return self.entity("pre", start, None, language);
        }
        if self.form == Form::Discord && self.quote.is_some() {
            self.indent.push_str("> ");
        }
        let indent = self.indent.clone();
        self.raw(&indent);
        self.raw("```");
        if self.form == Form::Discord {
            self.raw(language);
        }
        let text = text.replace("```", "`\u{200B}`\u{200B}`");
        for line in text.split('\n') {
            self.new_line();
            self.literal(line);
        }
        self.new_line();
        self.raw("```");
    }

    /// Text within code.
    fn literal(&mut self, text: &str) {
        match self.form {
            Form::Markdown | Form::Telegram => self.raw(text),
            Form::Discord => self.raw(&disarm(text)),
            Form::Slack => self.raw(&escape_slack(text)),
        }
    }

    fn spans(&mut self, spans: &[Span]) {
        // Text that is not a link here is joined with its neighbours, because a mention may span them.
        let mut joined = Vec::with_capacity(spans.len());
        for span in spans {
            let link = span.link.clone().filter(|url| self.is_link(url));
            document::append(&mut joined, Span { link, ..span.clone() });
        }
        let has_tags = self.form == Form::Markdown && !are_marks_safe(&joined);
        let mut rest = joined.as_slice();
        while let Some(span) = rest.first() {
            let same = rest.iter().take_while(|other| other.link == span.link).count();
            let (group, after) = rest.split_at(same);
            let next = after.first().and_then(|span| span.text.chars().next());
            match span.link.as_deref() {
                Some(url) if !group.iter().all(|span| span.text.trim().is_empty()) => {
                    self.link(group, url, next, has_tags);
                }
                _ => self.styled_all(group, next, has_tags),
            }
            rest = after;
        }
    }

    fn is_link(&self, url: &str) -> bool {
        match self.form {
            Form::Markdown | Form::Telegram => true,
            Form::Discord => has_prefix(url, "http"),
            Form::Slack => !has_prefix(url, "tg"),
        }
    }

    fn link(&mut self, group: &[Span], url: &str, next: Option<char>, has_tags: bool) {
        let label: String = group.iter().map(|span| span.text.as_str()).collect();
        let is_bare = label == url;
        let is_plain = group.iter().all(|span| span.style == 0);
        match self.form {
            Form::Telegram => {
                let start = self.mark();
                self.styled_all(group, next, false);
                self.entity("text_link", start, Some(url.to_owned()), None);
            }
            Form::Markdown if is_plain && is_bare => {
                self.raw(&format!("<{}>", without_entities(url)))
            }
            Form::Markdown
                if is_plain
                    && is_address(&label)
                    && url.strip_prefix("mailto:") == Some(&label) =>
            {
                self.raw(&format!("<{label}>"));
            }
            Form::Markdown => {
                self.raw("[");
                self.styled_all(group, Some(']'), has_tags);
                self.raw(&format!("](<{}>)", without_entities(url)));
            }
            Form::Discord if is_bare => self.raw(&format!("<{}>", disarm_url(url))),
            // A label that looks like a URL is not accepted.
            Form::Discord if label.contains("://") => {
                self.styled_all(group, Some(' '), false);
                self.raw(&format!(" (<{}>)", disarm_url(url)));
            }
            Form::Discord => {
                self.raw("[");
                self.styled_all(group, Some(']'), false);
                self.raw(&format!("](<{}>)", disarm_url(url)));
            }
            Form::Slack => {
                let label =
                    if is_bare { String::new() } else { format!("|{}", escape_slack(&label)) };
                let style = group.iter().fold(BOLD | ITALIC | STRIKE, |all, span| all & span.style);
                let link = format!("<{}{label}>", escape_slack(url));
                self.styled(style, next, false, &mut |writer| writer.raw(&link));
            }
        }
    }

    fn styled_all(&mut self, group: &[Span], next: Option<char>, has_tags: bool) {
        for (index, span) in group.iter().enumerate() {
            let next = group.get(index + 1).map_or(next, |span| span.text.chars().next());
            let style = match self.form {
                // Code cannot contain other entities or be part of a link.
                Form::Telegram if span.link.is_some() => span.style & !CODE,
                Form::Telegram if span.style & CODE != 0 => CODE,
                _ => span.style,
            };
            self.styled(style, next, has_tags, &mut |writer| {
                if style & CODE == 0 { writer.words(&span.text) } else { writer.code(&span.text) }
            });
        }
    }

    /// Writes `content` within the marks of a style.
    fn styled(
        &mut self,
        style: u8,
        next: Option<char>,
        has_tags: bool,
        content: &mut dyn FnMut(&mut Self),
    ) {
        if style == 0 {
            return content(self);
        }
        let start = self.mark();
        let marks: &[(u8, &str, &str)] = match self.form {
            Form::Telegram => &[],
            Form::Markdown if has_tags => {
                &[(BOLD, "<b>", "</b>"), (ITALIC, "<i>", "</i>"), (STRIKE, "<s>", "</s>")]
            }
            Form::Markdown | Form::Discord => {
                &[(BOLD, "**", "**"), (ITALIC, "*", "*"), (STRIKE, "~~", "~~")]
            }
            Form::Slack => &[(BOLD, "*", "*"), (ITALIC, "_", "_"), (STRIKE, "~", "~")],
        };
        let is_word = |c: char| self.form == Form::Slack && c.is_alphanumeric();
        let joins = |c: char| "*_~`".contains(c) || is_word(c);
        let needs_space = matches!(self.form, Form::Discord | Form::Slack);
        let ends_word = needs_space && next.is_some_and(is_word);
        if needs_space && self.out.chars().next_back().is_some_and(joins) {
            self.raw(ZERO_WIDTH_SPACE.encode_utf8(&mut [0; 4]));
        }
        let on = || marks.iter().filter(|(bit, ..)| style & bit != 0);
        on().for_each(|(_, open, _)| self.raw(open));
        content(self);
        on().rev().for_each(|(_, _, close)| self.raw(close));
        if ends_word {
            self.raw(ZERO_WIDTH_SPACE.encode_utf8(&mut [0; 4]));
        }
        let kinds = [(BOLD, "bold"), (ITALIC, "italic"), (STRIKE, "strikethrough"), (CODE, "code")];
        for (_, kind) in kinds.iter().filter(|(bit, _)| style & bit != 0) {
            self.entity(kind, start, None, None);
        }
    }

    fn code(&mut self, text: &str) {
        match self.form {
            Form::Telegram => self.words(text),
            // Slack has no way to write a backtick in code.
            Form::Slack if text.contains('`') => self.words(text),
            Form::Slack => {
                self.raw("`");
                self.literal(text);
                self.raw("`");
            }
            Form::Markdown | Form::Discord => {
                let fence = "`".repeat(longest_run(text) + 1);
                let is_edge = |c: char| c == '`' || c == ' ';
                let pad =
                    if text.starts_with(is_edge) || text.ends_with(is_edge) { " " } else { "" };
                self.raw(&format!("{fence}{pad}"));
                self.literal(text);
                self.raw(&format!("{pad}{fence}"));
            }
        }
    }

    /// Text outside code.
    fn words(&mut self, text: &str) {
        let text = match self.form {
            Form::Discord => disarm(text),
            Form::Slack => escape_slack(text),
            Form::Markdown | Form::Telegram => text.to_owned(),
        };
        let escapes = matches!(self.form, Form::Markdown | Form::Discord);
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.new_line();
            }
            if escapes { self.escaped(line) } else { self.raw(line) }
        }
    }

    /// One line without Markdown marks.
    fn escaped(&mut self, text: &str) {
        let mut escaped = String::with_capacity(text.len() + 8);
        let (mut line, mut before) = (self.line, self.out.chars().next_back().unwrap_or('\n'));
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let next = rest.clone().next();
            let is_mark = match c {
                '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '<' | '>' | '|' => true,
                '#' => line == Line::Empty || before.is_whitespace(),
                '-' | '+' | '=' => line == Line::Empty,
                ')' => line == Line::Digits,
                '.' => line == Line::Digits || matches!(before, 'w' | 'W'),
                ':' => line == Line::Empty || next == Some('/'),
                '!' => next.is_none_or(|next| next == '['),
                '&' => self.form == Form::Markdown,
                _ => false,
            };
            if is_mark {
                escaped.push('\\');
            } else if c == '@' && self.form == Form::Markdown && !before.is_whitespace() {
                // A mail address cannot be escaped; the tag keeps it from becoming a link.
                escaped.push_str("<b></b>");
            }
            escaped.push(c);
            let is_number = line != Line::Words && c.is_ascii_digit();
            line = if is_number { Line::Digits } else { Line::Words };
            before = c;
        }
        self.raw(&escaped);
        self.line = line;
    }

    fn mark(&self) -> Mark {
        Mark { at: self.out.len(), size: self.size }
    }

    /// Adds an entity from `start` to here, without whitespace at its edges.
    fn entity(
        &mut self,
        kind: &'static str,
        start: Mark,
        url: Option<String>,
        language: Option<String>,
    ) {
        if self.form != Form::Telegram {
            return;
        }
        let text = &self.out[start.at..];
        let words = text.trim_start();
        let offset = start.size + text[..text.len() - words.len()].encode_utf16().count();
        let length = words.trim_end().encode_utf16().count();
        if length > 0 {
            self.entities.push(TelegramEntity { kind, offset, length, url, language });
        }
    }

    fn end_quote(&mut self) {
        if let Some((_, start)) = self.quote.take() {
            self.entity("blockquote", start, None, None);
        }
    }
}

/// Whether each style can be written with `*` and `~`, so that all marks count as such when parsed.
fn are_marks_safe(spans: &[Span]) -> bool {
    let edge = |span: &Span, is_end: bool| {
        let c = if is_end { span.text.chars().next_back() } else { span.text.chars().next() };
        if span.style & CODE == 0 { c } else { Some('`') }
    };
    let fits = |inner: Option<char>, outer: Option<&Span>, span: &Span, is_end: bool| {
        let Some(outer) = outer.filter(|outer| outer.link == span.link) else { return true };
        let is_apart =
            edge(outer, !is_end).is_none_or(|c| c.is_whitespace() || c.is_ascii_punctuation());
        outer.style & !CODE == 0 && (is_apart || inner.is_some_and(char::is_alphanumeric))
    };
    spans.iter().enumerate().all(|(index, span)| {
        let before = index.checked_sub(1).and_then(|index| spans.get(index));
        match (span.style & !CODE).count_ones() {
            0 => true,
            1 => {
                fits(edge(span, false), before, span, false)
                    && fits(edge(span, true), spans.get(index + 1), span, true)
            }
            _ => false,
        }
    })
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Whether Markdown reads the text between angle brackets as a mail address.
fn is_address(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.len() < 64 && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    text.split_once('@').is_some_and(|(name, domain)| {
        name.split(['.', '-', '_', '+']).all(is_part) && domain.split('.').all(is_part)
    })
}

/// A URL in Markdown, in which entities are decoded.
fn without_entities(url: &str) -> String {
    if url.contains(';') { url.replace('&', "&amp;") } else { url.to_owned() }
}

fn has_prefix(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Puts a zero-width space into text that Discord would read as a mention.
fn disarm(text: &str) -> String {
    let text = text.replace("<@", "<@\u{200B}");
    text.replace("@everyone", "@\u{200B}everyone").replace("@here", "@\u{200B}here")
}

fn disarm_url(url: &str) -> String {
    url.replace("@everyone", "%40everyone").replace("@here", "%40here")
}

fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
