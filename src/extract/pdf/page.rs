//! Interpreter of page content streams: collects text with its positions.

use std::collections::HashMap;
use std::rc::Rc;

use super::columns::Frame;
use super::font::Font;
use super::layout::{Layout, Place};
use super::object::File;
use super::rules::Rules;
use super::value::{Dict, Reader, Value};
use super::{annotations, letters};

/// Deepest nesting of form XObjects.
const DEPTH: usize = 6;
/// Limit of values and operators over all pages.
const STEPS: usize = 20_000_000;
/// Cost of a form XObject in these steps.
const DRAWING: usize = 500;
/// Limit of font codes per page, and of those in the cache: a few bytes can declare a mapping for all codes.
const CODES: usize = 1_000_000;
/// This many font codes cost one step.
const CODES_PER_STEP: usize = 20;
/// Deepest nesting of marked content.
const MARKS: usize = 1_000;
/// Bytes examined to tell program text from image data.
const PROGRAM: usize = 12;
/// Limit of saved graphics states per page.
const STATES: usize = 256;

/// Transformation matrix.
pub(super) type Matrix = [f64; 6];

const PLAIN: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// Product of two matrices: `this` is applied first.
fn then(this: Matrix, that: Matrix) -> Matrix {
    let [a, b, c, d, e, f] = this;
    let [g, h, i, j, k, l] = that;
    [
        a * g + b * i,
        a * h + b * j,
        c * g + d * i,
        c * h + d * j,
        e * g + f * i + k,
        e * h + f * j + l,
    ]
}

/// Reads pages in order.
pub(super) struct Pages<'f, 'd> {
    file: &'f File<'d>,
    fonts: HashMap<u32, Rc<Font>>,
    left: usize,
    /// Font codes left for this page.
    codes: usize,
    /// Codes of the cached fonts.
    kept: usize,
    /// A font of this page was too large to be read.
    lacks_fonts: bool,
    marks: Vec<Mark>,
    /// Text of the page.
    layout: Layout,
    rules: Rules,
    /// Limit of text in bytes.
    most: usize,
}

/// A marked-content sequence.
enum Mark {
    Plain,
    /// Replacement text (`ActualText`), taken with the first shown letter.
    Says(Option<String>),
}

/// Text state.
#[derive(Clone)]
struct State {
    around: Matrix,
    font: Option<Rc<Font>>,
    size: f64,
    /// Horizontal scaling (1.0 is normal).
    scale: f64,
    between: f64,
    words: f64,
    lead: f64,
}

impl<'f, 'd> Pages<'f, 'd> {
    pub fn new(file: &'f File<'d>, most: usize) -> Self {
        Self {
            file,
            fonts: HashMap::new(),
            left: STEPS,
            codes: CODES,
            kept: 0,
            lacks_fonts: false,
            marks: Vec::new(),
            layout: Layout::default(),
            rules: Rules::default(),
            most,
        }
    }

    /// Whether a limit was reached.
    pub fn is_full(&self) -> bool {
        self.left == 0 || self.most <= self.layout.len()
    }

    /// Whether a font of the last page was too large to be read, so that text is missing.
    pub fn lacks_fonts(&self) -> bool {
        self.lacks_fonts
    }

    /// Text of a page, followed by its form fields and annotations.
    pub fn page(&mut self, page: &Dict, resources: &Dict) -> String {
        let mut program = Vec::new();
        let contents = self.file.get(page, "Contents");
        let contents = match contents {
            Value::List(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        for one in contents {
            if let Value::Stream(dict, place) = self.file.real(one) {
                program.extend(self.file.bytes(dict, place));
                program.push(b'\n');
            }
        }
        (self.codes, self.lacks_fonts) = (CODES, false);
        self.marks.clear();
        self.rules.clear();
        if CODES < self.kept {
            self.fonts.clear();
            self.kept = 0;
        }
        self.run(&program, resources, PLAIN, 0);
        let layout = std::mem::take(&mut self.layout);
        let mut out = layout.into_text(self.rules.painted(), self.frame(page));
        for line in annotations::lines(self.file, page) {
            if self.left == 0 || self.most <= out.len() {
                break;
            }
            out.push_str(&line);
            out.push('\n');
        }
        self.most = self.most.saturating_sub(out.len());
        out
    }

    fn frame(&self, page: &Dict) -> Frame {
        let corners = annotations::inherited(self.file, page, "MediaBox").list();
        let corner = |at: usize| corners.get(at).and_then(|one| self.file.real(one).number());
        let (one, other) = (corner(0).unwrap_or(0.0), corner(2).unwrap_or(0.0));
        Frame { from: one.min(other), to: one.max(other) }
    }

    fn run(&mut self, program: &[u8], resources: &Dict, around: Matrix, depth: usize) {
        let mut state = State {
            around,
            font: None,
            size: 1.0,
            scale: 1.0,
            between: 0.0,
            words: 0.0,
            lead: 0.0,
        };
        let mut before: Vec<State> = Vec::new();
        let (mut text, mut line) = (PLAIN, PLAIN);
        let mut values: Vec<Value> = Vec::new();
        let mut reader = Reader::new(program, 0);
        while let Some(value) = reader.value() {
            self.left = self.left.saturating_sub(1);
            if self.is_full() {
                return;
            }
            let Value::Word(word) = &value else {
                if values.len() < 64 {
                    values.push(value);
                }
                continue;
            };
            let n = |at: usize| values.get(at).and_then(Value::number).unwrap_or(0.0);
            match word.as_str() {
                "q" if before.len() < STATES => before.push(state.clone()),
                "Q" => state = before.pop().unwrap_or(state),
                "cm" => state.around = then([n(0), n(1), n(2), n(3), n(4), n(5)], state.around),
                "BT" => (text, line) = (PLAIN, PLAIN),
                "Tf" => {
                    let name = values.first().map_or("", Value::name).to_owned();
                    state.size = n(1);
                    state.font = self.font(resources, &name);
                }
                "Tz" => state.scale = n(0) / 100.0,
                "Tc" => state.between = n(0),
                "Tw" => state.words = n(0),
                "TL" => state.lead = n(0),
                "Tm" => {
                    line = [n(0), n(1), n(2), n(3), n(4), n(5)];
                    text = line;
                }
                "Td" | "TD" => {
                    if word == "TD" {
                        state.lead = -n(1);
                    }
                    line = then([1.0, 0.0, 0.0, 1.0, n(0), n(1)], line);
                    text = line;
                }
                "T*" | "'" | "\"" => {
                    line = then([1.0, 0.0, 0.0, 1.0, 0.0, -state.lead], line);
                    text = line;
                    if let Some(Value::Text(shown)) = values.last().filter(|_| word != "T*") {
                        self.show(&state, &mut text, shown);
                    }
                }
                "Tj" => {
                    if let Some(Value::Text(shown)) = values.last() {
                        self.show(&state, &mut text, shown);
                    }
                }
                "TJ" => {
                    for piece in values.last().map_or(&[][..], Value::list) {
                        match piece {
                            Value::Text(shown) => self.show(&state, &mut text, shown),
                            Value::Number(back) => {
                                let back = -back / 1_000.0 * state.size * state.scale;
                                text = then([1.0, 0.0, 0.0, 1.0, back, 0.0], text);
                            }
                            _ => {}
                        }
                    }
                }
                "Do" if depth < DEPTH => {
                    let name = values.first().map_or("", Value::name).to_owned();
                    self.drawing(&name, resources, state.around, depth);
                }
                "BMC" | "BDC" => self.mark(resources, values.get(1)),
                "EMC" => self.end_mark(),
                // Image data is not parsed.
                "ID" => skip_picture(program, &mut reader),
                word => self.rules.take(word, state.around, n),
            }
            values.clear();
        }
    }

    fn mark(&mut self, resources: &Dict, about: Option<&Value>) {
        let about = match about {
            Some(Value::Name(name)) => {
                let named = self.file.get(resources, "Properties").dict();
                named.and_then(|named| self.file.get(named, name).dict())
            }
            about => about.and_then(Value::dict),
        };
        let mark = match about.map(|about| self.file.get(about, "ActualText")) {
            Some(Value::Text(says)) => Mark::Says(Some(letters(says))),
            _ => Mark::Plain,
        };
        if self.marks.len() < MARKS {
            self.marks.push(mark);
        }
    }

    /// A sequence that shows no letter, such as the image of a word, gives its replacement text at its end.
    fn end_mark(&mut self) {
        let outer = self.marks.iter().take(self.marks.len().saturating_sub(1));
        let is_inside = outer.into_iter().any(|mark| matches!(mark, Mark::Says(_)));
        if let Some(Mark::Says(Some(says))) = self.marks.pop()
            && !is_inside
        {
            self.layout.push(&says);
        }
    }

    fn font(&mut self, resources: &Dict, name: &str) -> Option<Rc<Font>> {
        let fonts = self.file.get(resources, "Font").dict()?;
        let value = fonts.get(name)?;
        let number = match value {
            Value::Ref(number) => Some(*number),
            _ => None,
        };
        if let Some(known) = number.and_then(|number| self.fonts.get(&number)) {
            return Some(Rc::clone(known));
        }
        let dict = self.file.real(value).dict()?;
        if self.codes == 0 {
            self.lacks_fonts = true;
            return None;
        }
        let font = Rc::new(Font::read(self.file, dict));
        let codes = font.codes();
        self.codes = self.codes.saturating_sub(codes);
        self.left = self.left.saturating_sub(codes / CODES_PER_STEP);
        self.kept += if number.is_some() { codes } else { 0 };
        if let Some(number) = number {
            self.fonts.insert(number, Rc::clone(&font));
        }
        Some(font)
    }

    /// Reads a form XObject, which may contain text.
    fn drawing(&mut self, name: &str, resources: &Dict, around: Matrix, depth: usize) {
        self.left = self.left.saturating_sub(DRAWING);
        let drawings = self.file.get(resources, "XObject").dict();
        let found = drawings.and_then(|all| all.get(name)).map(|one| self.file.real(one));
        let Some(Value::Stream(dict, place)) = found else { return };
        if self.file.get(dict, "Subtype").name() != "Form" {
            return;
        }
        let own = self.file.get(dict, "Resources").dict();
        let mut matrix = PLAIN;
        for (part, value) in matrix.iter_mut().zip(self.file.get(dict, "Matrix").list()) {
            *part = value.number().unwrap_or(*part);
        }
        let program = self.file.bytes(dict, place);
        let resources = own.unwrap_or(resources);
        self.run(&program, resources, then(matrix, around), depth + 1);
    }

    /// Shows a string (operator `Tj` and relatives).
    fn show(&mut self, state: &State, text: &mut Matrix, shown: &[u8]) {
        let Some(font) = &state.font else { return };
        let place = |at: &Matrix| {
            let [a, b, c, d, x, y] = then(*at, state.around);
            let long = a.hypot(b) * (state.size * state.scale).signum();
            let direction = if long == 0.0 { (1.0, 0.0) } else { (a / long, b / long) };
            Place::of(x, y, direction, (state.size * c.hypot(d)).abs().max(0.1))
        };
        let (matrix, start) = (*text, place(text));
        let replacement = self.marks.iter_mut().find_map(|mark| match mark {
            Mark::Plain => None,
            Mark::Says(says) => Some(says.take()),
        });
        // The sequence's replacement text was already taken at its beginning.
        if replacement != Some(None) {
            self.layout.begin(start);
        }
        let shows = replacement.is_none();
        self.layout.push(&replacement.flatten().unwrap_or_default());
        let mut wide = 0.0;
        let mut seen: Option<(f64, f64)> = None;
        for (letter, width) in font.letters(shown) {
            if self.is_full() {
                return;
            }
            if shows {
                self.layout.push(letter);
            }
            let from = wide;
            wide += (width / 1_000.0 * state.size + state.between) * state.scale;
            if letter == " " {
                wide += state.words * state.scale;
            }
            if !letter.trim().is_empty() {
                seen = Some((seen.map_or(from, |(first, _)| first), wide));
            }
        }
        let moved = |by: f64| then([1.0, 0.0, 0.0, 1.0, by, 0.0], matrix);
        *text = moved(wide);
        let reach = seen.map(|(from, to)| (place(&moved(from)).along, place(&moved(to)).along));
        self.layout.finish(place(text), reach);
    }
}

/// Limit of possible ends of an image that are examined.
const ENDS: usize = 16;

/// Skips the data of an inline image.
fn skip_picture(program: &[u8], reader: &mut Reader<'_>) {
    let rest = program.get(reader.at..).unwrap_or_default();
    // `EI` may occur in the data, but only the real end is followed by program text.
    let ends = |four: &[u8]| {
        four[0].is_ascii_whitespace() && four[1..3] == *b"EI" && four[3].is_ascii_whitespace()
    };
    let is_program = |at: &usize| {
        let next = rest.iter().skip(at + 3).take(PROGRAM);
        next.into_iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    };
    // Limited, so that a page of thousands of images stays linear.
    let places = rest.windows(4).enumerate().filter(|(_, four)| ends(four)).map(|(at, _)| at);
    let mut first = None;
    let end = places.take(ENDS).find(|at| {
        first.get_or_insert(*at);
        is_program(at)
    });
    reader.at += end.or(first).map_or(rest.len(), |at| at + 3);
}
