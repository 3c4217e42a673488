//! Splits a document into parts within a platform's limit.

use unicode_segmentation::GraphemeCursor;

use crate::Platform;
use crate::document::{self, Block, Body, Container, Span};
use crate::write::{self, Form};

pub(crate) fn chunks(markdown: &str, platform: Platform) -> Vec<String> {
    let form = match platform {
        Platform::Telegram => Form::Telegram,
        Platform::Discord => Form::Discord,
        Platform::Slack => Form::Slack,
        Platform::Bridge => Form::Markdown,
    };
    let limit = platform.limit();
    let blocks = document::parse(markdown);
    if blocks.is_empty() {
        return Vec::new();
    }
    if write::all(&blocks, form).size <= limit {
        return vec![markdown.to_owned()];
    }
    let mut packer = Packer { form, limit, parts: Vec::new(), blocks: Vec::new(), size: 0 };
    for block in blocks {
        packer.add(block);
    }
    packer.flush(false);
    packer.parts
}

struct Packer {
    form: Form,
    limit: usize,
    parts: Vec<String>,
    /// Blocks of the next part, and at most their size.
    blocks: Vec<Block>,
    size: usize,
}

impl Packer {
    fn add(&mut self, mut block: Block) {
        let mut is_checked = false;
        loop {
            // A text of more characters than the limit needs no measuring.
            let is_long = text_of(&block).chars().nth(self.limit).is_some();
            let cost = if is_long { usize::MAX } else { write::cost(&block, self.form) };
            if cost <= self.limit - self.size {
                return self.push(block, cost);
            }
            let is_small_rest = self.size > self.limit / 2;
            if !self.blocks.is_empty() && (cost <= self.limit || is_small_rest) {
                self.flush(true);
                continue;
            }
            if !is_checked {
                block = self.without_long_links(block);
                is_checked = true;
                continue;
            }
            let at = place(&block, self.form, self.limit - self.size, self.blocks.is_empty());
            if at == 0 {
                self.flush(false);
                continue;
            }
            let before = head(&block, at);
            if !before.is_blank() {
                self.push(before, 0);
            }
            self.flush(false);
            block = tail(block, at);
            if block.is_blank() {
                return;
            }
        }
    }

    fn push(&mut self, block: Block, cost: usize) {
        self.blocks.push(block);
        self.size += cost;
    }

    /// Ends a part. A heading at its end goes to the next part if another block follows.
    fn flush(&mut self, is_followed: bool) {
        let is_heading = |block: &Block| matches!(block.body, Body::Text { level: 1.., .. });
        let carries =
            is_followed && self.blocks.len() > 1 && self.blocks.last().is_some_and(is_heading);
        let carried = if carries { self.blocks.pop() } else { None };
        let blocks = std::mem::take(&mut self.blocks);
        self.size = 0;
        if !blocks.is_empty() {
            self.parts.push(write::all(&blocks, Form::Markdown).out);
        }
        if let Some(heading) = carried {
            let cost = write::cost(&heading, self.form);
            self.push(heading, cost);
        }
    }

    /// Turns links that exceed the limit by themselves into text.
    fn without_long_links(&self, mut block: Block) -> Block {
        let Body::Text { level, spans } = &mut block.body else { return block };
        let mut kept: Vec<Span> = Vec::with_capacity(spans.len());
        for group in spans.chunk_by(|one, other| one.link == other.link) {
            let body = Body::Text { level: *level, spans: group.to_vec() };
            let alone = Block { around: block.around.clone(), body };
            let is_long = group[0].link.is_some() && write::cost(&alone, self.form) > self.limit;
            kept.extend(group.iter().cloned().map(|mut span| {
                span.link = span.link.filter(|_| !is_long);
                span
            }));
        }
        *spans = document::tidy(kept);
        block
    }
}

fn text_of(block: &Block) -> String {
    match &block.body {
        Body::Text { spans, .. } => spans.iter().map(|span| span.text.as_str()).collect(),
        Body::Code { text, .. } => text.clone(),
    }
}

/// The byte of the block's text at which to cut, so that what is before costs at most `room`. Zero if nothing should be
/// before; never zero with `must_cut`.
fn place(block: &Block, form: Form, room: usize, must_cut: bool) -> usize {
    let text = text_of(block);
    let ends: Vec<usize> = text.char_indices().skip(1).map(|(at, _)| at).take(room).collect();
    let Some(last) = ends.last() else { return if must_cut { text.len() } else { 0 } };
    let window = head(block, *last);
    let fits = |at: usize| write::cost(&head(&window, at), form) <= room;
    let count = ends.partition_point(|at| fits(*at));
    let most = ends[..count].last().copied().unwrap_or_default();
    let mut at = outside_link(block, break_before(&text, most));
    while at > 0 && !fits(at) {
        at = cluster_before(&text, at - 1);
    }
    if at > 0 || !must_cut {
        return at;
    }
    match cluster_before(&text, most) {
        0 => most.max(ends[0]),
        at => at,
    }
}

/// The last good place to cut up to `most`: between lines, else between words, else between character clusters.
fn break_before(text: &str, most: usize) -> usize {
    let head = &text[..most];
    if text[most..].starts_with('\n') {
        return most;
    }
    if let Some(at) = head.rfind('\n').filter(|at| *at >= most / 2) {
        return at;
    }
    if text[most..].starts_with(char::is_whitespace) {
        return most;
    }
    match head.trim_end().rfind(char::is_whitespace) {
        Some(at) if at > 0 => at,
        _ => cluster_before(text, most),
    }
}

fn cluster_before(text: &str, at: usize) -> usize {
    let mut at = at;
    while at > 0 {
        let is_end = text.is_char_boundary(at)
            && GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0) == Ok(true);
        if is_end {
            break;
        }
        at -= 1;
    }
    at
}

/// The start of the link that `at` is within, else `at`.
fn outside_link(block: &Block, at: usize) -> usize {
    let Body::Text { spans, .. } = &block.body else { return at };
    let mut start = 0;
    for group in spans.chunk_by(|one, other| one.link == other.link) {
        let end = start + group.iter().map(|span| span.text.len()).sum::<usize>();
        if group[0].link.is_some() && start < at && at < end {
            return start;
        }
        start = end;
    }
    at
}

/// What is before a byte of the block's text, without whitespace at the end.
fn head(block: &Block, at: usize) -> Block {
    let body = match &block.body {
        Body::Code { language, text } => {
            let text = text[..at.min(text.len())].trim_end().to_owned();
            Body::Code { language: language.clone(), text }
        }
        Body::Text { level, spans } => {
            let (mut kept, mut rest) = (Vec::new(), at);
            for span in spans {
                if rest == 0 {
                    break;
                }
                let end = rest.min(span.text.len());
                rest -= end;
                kept.push(Span { text: span.text[..end].to_owned(), ..span.clone() });
            }
            Body::Text { level: *level, spans: document::tidy(kept) }
        }
    };
    Block { around: block.around.clone(), body }
}

/// What is after a byte of the block's text, without whitespace at the start, except for the indent of code.
fn tail(mut block: Block, at: usize) -> Block {
    for container in &mut block.around {
        if let Container::Item(item) = container {
            item.is_first = false;
        }
    }
    match &mut block.body {
        Body::Code { text, .. } => {
            text.drain(..at.min(text.len()));
            if text.starts_with('\n') {
                text.remove(0);
            }
        }
        Body::Text { spans, .. } => {
            let mut rest = at;
            for span in spans.iter_mut() {
                let gone = rest.min(span.text.len());
                rest -= gone;
                span.text.drain(..gone);
            }
            *spans = document::tidy(std::mem::take(spans));
        }
    }
    block
}
