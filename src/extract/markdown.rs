//! Writer of Markdown for all readers: blocks, tables and notes, in file order.
//!
//! Open elements form one stack, so nested text boxes and tables and missing end tags are handled. All output counts
//! against one limit; after it, input is ignored.

/// Deepest nesting of lists.
const DEEPEST_LIST: u8 = 8;
/// Limit of columns in a table's separator line.
const COLUMNS: usize = 500;
/// Limit of blocks, rows and cells per part: they cost memory even when empty.
const FRAMES: usize = 2_000_000;

/// Kind of a text block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Paragraph,
    /// Level 1 to 6.
    Heading(u8),
    /// List item: nesting level, and number in a numbered list.
    Item {
        level: u8,
        number: Option<u32>,
    },
    /// Text with preserved whitespace.
    Code,
}

/// An open element.
enum Frame {
    Block {
        kind: Block,
        text: String,
        /// Start of the link text, and the link's target.
        link: Option<(usize, String)>,
    },
    Table(Vec<Vec<String>>),
    Cell(String),
    /// Text of a footnote.
    Note {
        label: usize,
        text: String,
    },
    /// Text that the reader fetches separately.
    Aside(String),
}

/// Writer of one part.
pub(crate) struct Writer {
    out: String,
    frames: Vec<Frame>,
    notes: Vec<(usize, String)>,
    aside: Option<String>,
    /// Kind of the next paragraph, if a list has set it.
    pending: Option<Block>,
    /// Level of the last block, if it was a list item.
    item: Option<u8>,
    /// Characters taken, and their limit.
    taken: usize,
    most: usize,
    /// Frames that may still be opened.
    left: usize,
}

impl Writer {
    /// Takes about `most` characters.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            out: String::new(),
            frames: Vec::new(),
            notes: Vec::new(),
            aside: None,
            pending: None,
            item: None,
            taken: 0,
            most,
            left: FRAMES,
        }
    }

    /// Whether further input is ignored.
    pub(crate) fn is_full(&self) -> bool {
        self.most < self.taken || self.left == 0
    }

    /// Opens a block within the innermost frame.
    pub(crate) fn open(&mut self, kind: Block) {
        let pending = self.pending.take();
        let kind = if kind == Block::Paragraph { pending.unwrap_or(kind) } else { kind };
        self.push(Frame::Block { kind, text: String::new(), link: None });
    }

    /// Changes the kind of the innermost block.
    pub(crate) fn set_kind(&mut self, wanted: Block) {
        let blocks = self.frames.iter_mut().rev();
        let mut blocks = blocks.filter_map(|frame| match frame {
            Frame::Block { kind, .. } => Some(kind),
            _ => None,
        });
        if let Some(kind) = blocks.next() {
            *kind = wanted;
        }
    }

    /// Kind of the innermost frame, if it is a block.
    pub(crate) fn kind(&self) -> Option<Block> {
        match self.frames.last() {
            Some(Frame::Block { kind, .. }) => Some(*kind),
            _ => None,
        }
    }

    /// Closes the innermost frame, if it is a block.
    pub(crate) fn close(&mut self) {
        if self.kind().is_some() {
            self.pop();
        }
    }

    /// Makes the next paragraph a list item.
    pub(crate) fn item(&mut self, level: usize, number: Option<u32>) {
        let level = u8::try_from(level).unwrap_or(DEEPEST_LIST).min(DEEPEST_LIST);
        self.pending = Some(Block::Item { level, number });
    }

    /// Ends all lists: what follows starts a new one.
    pub(crate) fn end_lists(&mut self) {
        self.pending = None;
        self.item = None;
    }

    /// Makes the next paragraph a plain one.
    pub(crate) fn no_item(&mut self) {
        self.pending = None;
    }

    /// Adds text, with runs of whitespace collapsed.
    pub(crate) fn text(&mut self, added: &str) {
        if self.is_full() {
            return;
        }
        if self.kind().is_none() {
            if added.chars().all(char::is_whitespace) {
                return;
            }
            self.open(Block::Paragraph);
        }
        let Some(Frame::Block { kind, text, .. }) = self.frames.last_mut() else { return };
        let before = text.len();
        for sign in added.chars() {
            match sign {
                '\n' | '\t' if *kind == Block::Code => text.push(sign),
                sign if sign.is_whitespace() && *kind != Block::Code => {
                    if text.ends_with(|last: char| !last.is_whitespace()) {
                        text.push(' ');
                    }
                }
                // Soft hyphens, zero-width spaces, word joiners and byte order marks are dropped.
                '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' => (),
                sign if sign.is_control() => (),
                sign => text.push(sign),
            }
        }
        self.taken += text[before..].chars().count();
    }

    pub(crate) fn line_break(&mut self) {
        if let Some(Frame::Block { text, .. }) = self.frames.last_mut() {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            self.taken += 1;
        }
    }

    /// Starts the text of a link; without an address it is plain text.
    pub(crate) fn open_link(&mut self, address: Option<String>) {
        if self.kind().is_none() {
            self.open(Block::Paragraph);
        }
        if let Some(Frame::Block { text, link, .. }) = self.frames.last_mut() {
            *link = address.map(|address| (text.len(), address));
        }
    }

    /// Ends the text of a link. A link across several blocks becomes plain text.
    pub(crate) fn close_link(&mut self) {
        let Some(Frame::Block { text, link, .. }) = self.frames.last_mut() else { return };
        let Some((from, address)) = link.take() else { return };
        let shown = text[from..].trim();
        if shown.is_empty() || shown == address {
            return;
        }
        let address = address.replace(' ', "%20").replace('(', "%28").replace(')', "%29");
        let linked = format!("[{shown}]({address})");
        self.taken += address.len();
        let lead = if text[from..].starts_with(' ') { " " } else { "" };
        let tail = if text.ends_with(' ') { " " } else { "" };
        text.truncate(from);
        for piece in [lead, &linked, tail] {
            text.push_str(piece);
        }
    }

    pub(crate) fn open_table(&mut self) {
        self.push(Frame::Table(Vec::new()));
    }

    /// Opens a row of the innermost table.
    pub(crate) fn open_row(&mut self) {
        self.pop_to(|frame| matches!(frame, Frame::Table(_)));
        if let Some(Frame::Table(rows)) = self.frames.last_mut() {
            rows.push(Vec::new());
            self.left = self.left.saturating_sub(1);
        }
    }

    /// Opens a cell of the innermost row.
    pub(crate) fn open_cell(&mut self) {
        self.pop_to(|frame| matches!(frame, Frame::Table(_)));
        if matches!(self.frames.last(), Some(Frame::Table(_))) {
            self.push(Frame::Cell(String::new()));
        }
    }

    pub(crate) fn close_cell(&mut self) {
        self.pop_through(|frame| matches!(frame, Frame::Cell(_)));
    }

    pub(crate) fn close_table(&mut self) {
        self.pop_through(|frame| matches!(frame, Frame::Table(_)));
    }

    /// Opens a footnote; footnotes are written at the end of the part.
    pub(crate) fn open_note(&mut self, label: usize) {
        self.push(Frame::Note { label, text: String::new() });
    }

    pub(crate) fn close_note(&mut self) {
        self.pop_through(|frame| matches!(frame, Frame::Note { .. }));
    }

    /// Opens a text that is not written in place; see [`Writer::take_aside`].
    pub(crate) fn open_aside(&mut self) {
        self.push(Frame::Aside(String::new()));
    }

    pub(crate) fn close_aside(&mut self) {
        self.pop_through(|frame| matches!(frame, Frame::Aside(_)));
    }

    /// The last closed aside, if it is not empty.
    pub(crate) fn take_aside(&mut self) -> Option<String> {
        self.aside.take().filter(|text| !text.is_empty())
    }

    /// The finished part with its footnotes. The writer is then empty for the next part.
    pub(crate) fn take(&mut self) -> String {
        while self.pop() {}
        for (label, text) in std::mem::take(&mut self.notes) {
            self.put(&format!("[^{label}]: {text}"), None);
        }
        self.pending = None;
        self.item = None;
        std::mem::take(&mut self.out)
    }

    fn push(&mut self, frame: Frame) {
        self.left = self.left.saturating_sub(1);
        self.frames.push(frame);
    }

    /// Closes all frames above the innermost one of this kind.
    fn pop_to(&mut self, wanted: fn(&Frame) -> bool) {
        if let Some(at) = self.frames.iter().rposition(wanted) {
            while self.frames.len() > at + 1 {
                self.pop();
            }
        }
    }

    /// The same, and closes that frame.
    fn pop_through(&mut self, wanted: fn(&Frame) -> bool) {
        if self.frames.iter().any(wanted) {
            self.pop_to(wanted);
            self.pop();
        }
    }

    /// Closes the innermost frame; `false` if there is none.
    fn pop(&mut self) -> bool {
        match self.frames.pop() {
            None => return false,
            Some(Frame::Block { kind, text, .. }) => self.block(kind, &text),
            Some(Frame::Cell(text)) => {
                if let Some(Frame::Table(rows)) = self.frames.last_mut() {
                    if rows.is_empty() {
                        rows.push(Vec::new());
                    }
                    rows.last_mut().expect("invariant: one was pushed").push(text);
                }
            }
            Some(Frame::Table(rows)) => self.table(rows),
            Some(Frame::Note { label, text }) => self.notes.push((label, text)),
            Some(Frame::Aside(text)) => self.aside = Some(text),
        }
        true
    }

    fn block(&mut self, kind: Block, text: &str) {
        let text = if kind == Block::Code { text.trim_matches('\n') } else { text.trim() };
        if text.trim().is_empty() || self.inlined(text) {
            return;
        }
        match kind {
            Block::Paragraph => {
                let lines: Vec<String> = text.lines().map(plain_line).collect();
                self.put(&lines.join("\n"), None);
            }
            Block::Heading(level) => {
                let marks = "#".repeat(usize::from(level.clamp(1, 6)));
                self.put(&format!("{marks} {}", one_line(text)), None);
            }
            Block::Item { level, number } => {
                // An item that is more than one level deeper than the last one would be read as code.
                let level = level.min(self.item.map_or(0, |last| last + 1));
                let mark = number.map_or("-".to_owned(), |number| format!("{number}."));
                let indent = "    ".repeat(usize::from(level));
                self.put(&format!("{indent}{mark} {}", one_line(text)), Some(level));
            }
            Block::Code => {
                let fence = if text.contains("```") { "~~~~" } else { "```" };
                self.put(&format!("{fence}\n{text}\n{fence}"), None);
            }
        }
    }

    /// Adds text to the innermost open cell, note or aside; `false` if there is none.
    fn inlined(&mut self, added: &str) -> bool {
        for frame in self.frames.iter_mut().rev() {
            let (text, between) = match frame {
                Frame::Cell(text) | Frame::Note { text, .. } => (text, ' '),
                Frame::Aside(text) => (text, '\n'),
                Frame::Block { .. } | Frame::Table(_) => continue,
            };
            if !text.is_empty() {
                text.push(between);
            }
            match between {
                ' ' => text.push_str(&one_line(added)),
                _ => text.push_str(added),
            }
            return true;
        }
        false
    }

    fn table(&mut self, rows: Vec<Vec<String>>) {
        let filled = |row: &Vec<String>| row.iter().any(|cell| !cell.is_empty());
        let rows: Vec<Vec<String>> = rows.into_iter().filter(filled).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0).min(COLUMNS);
        let stands_in_text = self
            .frames
            .iter()
            .any(|frame| matches!(frame, Frame::Cell(_) | Frame::Note { .. } | Frame::Aside(_)));
        // One-column tables are used for layout in pages and forms.
        if columns <= 1 || stands_in_text {
            for text in rows.into_iter().flatten() {
                self.block(Block::Paragraph, &text);
            }
            return;
        }
        let mut text = String::new();
        for (at, row) in rows.iter().enumerate() {
            let width = if at == 0 { columns.max(row.len()) } else { row.len() };
            text.push('|');
            for cell in 0..width {
                let cell = row.get(cell).map_or("", String::as_str);
                text.push(' ');
                text.push_str(&cell.replace('|', "\\|"));
                text.push_str(if cell.is_empty() { "|" } else { " |" });
            }
            text.push('\n');
            if at == 0 {
                text.push('|');
                text.push_str(&" --- |".repeat(width));
                text.push('\n');
            }
        }
        self.put(text.trim_end(), None);
    }

    fn put(&mut self, text: &str, item: Option<u8>) {
        if !self.out.is_empty() {
            self.out.push_str(if item.is_some() && self.item.is_some() { "\n" } else { "\n\n" });
        }
        self.out.push_str(text);
        self.item = item;
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Escapes a line of plain text that would be read as a heading or a code fence.
pub(crate) fn plain_line(line: &str) -> String {
    let line = line.trim();
    match line.starts_with('#') || line.starts_with("```") || line.starts_with("~~~") {
        true => format!("\\{line}"),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, Writer};

    #[test]
    fn blocks_lists_and_notes_stand_apart() {
        let mut writer = Writer::new(1_000);
        writer.open(Block::Heading(2));
        writer.text("A  \n head");
        writer.close();
        for (level, number) in [(0, Some(1)), (3, None), (0, Some(2))] {
            writer.item(level, number);
            writer.text("point");
            writer.close();
        }
        writer.open_note(1);
        writer.text("said");
        writer.close();
        writer.text("twice");
        writer.close_note();
        writer.text("# no head[^1]");
        assert_eq!(
            writer.take(),
            "## A head\n\n1. point\n    - point\n2. point\n\n\\# no head[^1]\n\n[^1]: said twice"
        );
        assert_eq!(writer.take(), "");
    }

    #[test]
    fn tables_in_tables_and_torn_ones_end() {
        let mut writer = Writer::new(1_000);
        writer.open_table();
        writer.open_row();
        for text in ["a|b", ""] {
            writer.open_cell();
            writer.text(text);
            writer.close_cell();
        }
        writer.open_row();
        writer.open_cell();
        writer.open_table();
        writer.open_row();
        writer.open_cell();
        writer.text("inner");
        writer.close_table();
        writer.open_cell();
        writer.text("last");
        writer.close_cell();
        writer.close_table();
        writer.close_table();
        assert_eq!(writer.take(), "| a\\|b | |\n| --- | --- |\n| inner | last |");
    }

    #[test]
    fn links_have_their_address_and_empty_ones_are_left_out() {
        let mut writer = Writer::new(1_000);
        writer.text("See ");
        writer.open_link(Some("https://a.example/(b)".to_owned()));
        writer.text("the page ");
        writer.close_link();
        writer.text("or");
        writer.open_link(Some("https://b.example".to_owned()));
        writer.close_link();
        assert_eq!(writer.take(), "See [the page](https://a.example/%28b%29) or");
    }
}
