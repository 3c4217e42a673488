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
            let (head, tail) = cut(block, at);
            if !head.is_blank() {
                self.push(head, 0);
            }
            self.flush(false);
            if tail.is_blank() {
                return;
            }
            block = tail;
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
    let (window, _) = cut(block.clone(), *last);
    let fits = |at: usize| write::cost(&cut(window.clone(), at).0, form) <= room;
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

/// Cuts a block at a byte of its text. Whitespace at the cut is dropped, except for the indent of code.
fn cut(block: Block, at: usize) -> (Block, Block) {
    let mut around = block.around.clone();
    for container in &mut around {
        if let Container::Item(item) = container {
            item.is_first = false;
        }
    }
    let (head, tail) = match block.body {
        Body::Code { language, text } => {
            let (head, tail) = text.split_at(at.min(text.len()));
            let tail = tail.strip_prefix('\n').unwrap_or(tail).to_owned();
            let head = Body::Code { language: language.clone(), text: head.trim_end().to_owned() };
            (head, Body::Code { language, text: tail })
        }
        Body::Text { level, spans } => {
            let (mut head, mut tail, mut start) = (Vec::new(), Vec::new(), 0);
            for span in spans {
                let middle = at.saturating_sub(start).min(span.text.len());
                start += span.text.len();
                let (before, after) = span.text.split_at(middle);
                let part = |text: &str| Span { text: text.to_owned(), ..span.clone() };
                head.push(part(before));
                tail.push(part(after));
            }
            let text = |spans: Vec<Span>| Body::Text { level, spans: document::tidy(spans) };
            (text(head), text(tail))
        }
    };
    (Block { around: block.around, body: head }, Block { around, body: tail })
}
