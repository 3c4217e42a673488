//! JSON tables: a list of objects, or an object with such a list.
//!
//! Read in one pass, entry by entry, so that memory holds the table and no tree of values.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::place::{Notes, letters};
use super::table::unique;
use super::{
    Format, MAX_CELL, MAX_CELLS, MAX_COLUMNS, MAX_HEADER, MAX_ROWS, Options, SheetError, Table,
    text,
};

pub(crate) fn read(bytes: &[u8], options: &Options) -> Result<Table, SheetError> {
    let mut notes = Notes::default();
    let (text, encoding) = text::decode(bytes, options.encoding.as_deref(), &mut notes)?;
    let state =
        State { found: RefCell::new(Found { notes, ..Found::default() }), ..State::default() };
    let mut json = serde_json::Deserializer::from_str(&text);
    let read = Document(&state).deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    match read {
        Ok(true) => {
            let table = state.found.into_inner().into_table()?;
            Ok(Table { encoding: Some(encoding), ..table })
        }
        Ok(false) => Err(SheetError::NoList),
        Err(error) => Err(match (state.fault.take(), error.classify()) {
            (Some(fault), _) => fault,
            (None, Category::Data) => SheetError::NoList,
            (None, _) => SheetError::BadJson { reason: error.to_string() },
        }),
    }
}

/// State shared by the visitors.
#[derive(Default)]
struct State {
    found: RefCell<Found>,
    /// Number of the current entry, from 1.
    row: Cell<usize>,
    /// The error; serde's own errors carry text only.
    fault: Cell<Option<SheetError>>,
}

impl State {
    fn fail<T, E: Error>(&self, fault: SheetError) -> Result<T, E> {
        self.fault.set(Some(fault));
        Err(E::custom("ended"))
    }
}

/// The table so far.
#[derive(Default)]
struct Found {
    headers: Vec<String>,
    taken: HashSet<String>,
    /// Column of each key path.
    columns: HashMap<String, usize>,
    rows: Vec<Vec<String>>,
    numbers: Vec<usize>,
    cells: usize,
    notes: Notes,
}

impl Found {
    fn add(&mut self, row: usize, pairs: Vec<(String, String)>) -> Result<(), SheetError> {
        let mut cells: Vec<String> = Vec::new();
        for (path, cell) in pairs {
            if cell.len() > MAX_CELL {
                return Err(SheetError::LongCell { row, column: path });
            }
            let at = self.column(row, path)?;
            cells.resize(cells.len().max(at + 1), String::new());
            if !cells[at].is_empty() {
                let name = &self.headers[at];
                self.notes.add(|| format!("entry {row} has \"{name}\" twice; the last one counts"));
            }
            cells[at] = cell;
        }
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            return Ok(());
        }
        if self.rows.len() == MAX_ROWS {
            return Err(SheetError::TooManyRows { row });
        }
        self.cells += cells.len();
        if self.cells > MAX_CELLS {
            let (rows, columns) = (self.rows.len(), self.headers.len());
            return Err(SheetError::TooManyCells { rows, columns });
        }
        self.rows.push(cells);
        self.numbers.push(row);
        Ok(())
    }

    fn column(&mut self, row: usize, path: String) -> Result<usize, SheetError> {
        let at = self.headers.len();
        if let Some(at) = self.columns.get(&path) {
            return Ok(*at);
        }
        if at == MAX_COLUMNS {
            return Err(SheetError::TooManyColumns { row, column: path });
        }
        let name = match path.trim() {
            "" => unique(&format!("Column {}", letters(at)), &self.taken),
            name => unique(name, &self.taken),
        };
        self.taken.insert(name.clone());
        self.headers.push(name);
        self.columns.insert(path, at);
        Ok(at)
    }

    fn into_table(mut self) -> Result<Table, SheetError> {
        let (rows, columns) = (self.rows.len(), self.headers.len());
        if rows == 0 {
            return Err(SheetError::Empty);
        }
        if rows * columns > MAX_CELLS {
            return Err(SheetError::TooManyCells { rows, columns });
        }
        self.rows.iter_mut().for_each(|row| row.resize(columns, String::new()));
        Ok(Table {
            format: Format::Json,
            encoding: None,
            delimiter: None,
            headers: self.headers,
            header_row: 0,
            rows: self.rows,
            numbers: self.numbers,
            sheets: Vec::new(),
            sheet: 0,
            notes: self.notes.into_lines(),
        })
    }
}

/// The document; the value is whether it contained a list.
struct Document<'a>(&'a State);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a list of objects, or an object with one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        Part { state: self.0, taken: false }.visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut taken = false;
        while object.next_key::<IgnoredAny>()?.is_some() {
            taken |= object.next_value_seed(Part { state: self.0, taken })?;
        }
        Ok(taken)
    }
}

/// A property of the outer object; the value is whether it is the list.
struct Part<'a> {
    state: &'a State,
    /// An earlier property was the list.
    taken: bool,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        match self.taken {
            true => json.deserialize_ignored_any(IgnoredAny).map(|_| false),
            false => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let state = self.state;
        state.row.set(1);
        while let Some(value) = list.next_element_seed(Read(state))? {
            let row = state.row.get();
            let Value::Object(pairs) = value else {
                return state.fail(SheetError::NotAnObject { row });
            };
            // Bound first, so that the borrow ends before the error is stored.
            let added = state.found.borrow_mut().add(row, pairs);
            if let Err(fault) = added {
                return state.fail(fault);
            }
            state.row.set(row + 1);
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// A value of an entry.
enum Value {
    /// For one cell: a text, a number, or a joined list.
    Text(String),
    /// Nested object: text by key path.
    Object(Vec<(String, String)>),
}

/// Reads one value of an entry.
#[derive(Clone, Copy)]
struct Read<'a>(&'a State);

impl<'de> DeserializeSeed<'de> for Read<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Text(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut joined = String::new();
        while let Some(value) = list.next_element_seed(self)? {
            let text = match value {
                Value::Text(text) => text,
                Value::Object(pairs) => {
                    let texts = pairs.iter().map(|(_, text)| text.as_str());
                    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
                }
            };
            if !joined.is_empty() && !text.is_empty() {
                joined.push_str(", ");
            }
            joined.push_str(&text);
        }
        Ok(Value::Text(joined))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let Self(state) = self;
        let row = state.row.get();
        let mut pairs = Vec::new();
        while let Some(key) = object.next_key::<String>()? {
            match object.next_value_seed(self)? {
                Value::Text(text) => pairs.push((key, text)),
                Value::Object(inner) => {
                    pairs.extend(
                        inner.into_iter().map(|(path, text)| (format!("{key}.{path}"), text)),
                    );
                }
            }
            let Some((path, _)) = pairs.last() else { continue };
            let start = || path.chars().take(40).collect::<String>();
            if path.len() > MAX_HEADER {
                return state.fail(SheetError::LongHeader { row, column: start() });
            }
            // Keys may repeat, so this exceeds the number of columns.
            if pairs.len() > 4 * MAX_COLUMNS {
                return state.fail(SheetError::TooManyColumns { row, column: start() });
            }
        }
        Ok(Value::Object(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, SheetError, Table, read};

    fn table(json: &str) -> Table {
        read(json.as_bytes(), &Options::default()).expect("a table")
    }

    fn fault(json: &str) -> String {
        read(json.as_bytes(), &Options::default()).expect_err("no table").to_string()
    }

    #[test]
    fn columns_come_in_the_order_in_which_they_appear() {
        let table =
            table(r#"[{"name": "Ann", "age": 41}, {}, {"zip": "01", "name": "Bob", "ok": true}]"#);
        assert_eq!(table.headers, ["name", "age", "zip", "ok"]);
        assert_eq!(table.rows, [["Ann", "41", "", ""], ["Bob", "", "01", "true"]]);
        assert_eq!(table.numbers, [1, 3]);
    }

    #[test]
    fn what_is_nested_becomes_columns_or_one_cell() {
        let table = table(
            r#"[{"a": {"b": {"c": 1.50}, "d": null}, "tags": ["x", null, 2, ["y"]],
                 "mail": [{"at": "a@x.org", "kind": "work"}, {"at": "b@x.org"}], "": "?", "x": 1e3}]"#,
        );
        assert_eq!(table.headers, ["a.b.c", "a.d", "tags", "mail", "Column E", "x"]);
        assert_eq!(table.rows, [["1.5", "", "x, 2, y", "a@x.org work, b@x.org", "?", "1000"]]);
    }

    #[test]
    fn the_first_list_of_an_object_is_taken() {
        let table =
            table(r#"{"n": 2, "about": {"x": [1]}, "people": [{"a": "1"}], "more": [{"b": "2"}]}"#);
        assert_eq!(table.headers, ["a"]);
        assert_eq!(table.rows, [["1"]]);
    }

    #[test]
    fn a_name_that_comes_twice_is_told() {
        let table = table(r#"[{"a": 1, "a": 2, " a ": 3}]"#);
        assert_eq!(table.headers, ["a", "a 2"]);
        assert_eq!(table.rows, [["2", "3"]]);
        assert_eq!(table.notes, ["entry 1 has \"a\" twice; the last one counts"]);
    }

    #[test]
    fn faults_name_their_place() {
        assert_eq!(read(b"[]", &Options::default()), Err(SheetError::Empty));
        assert_eq!(read(b"[{}]", &Options::default()), Err(SheetError::Empty));
        for json in ["{}", "3", r#"{"a": {"b": [1]}}"#] {
            assert_eq!(
                read(json.as_bytes(), &Options::default()),
                Err(SheetError::NoList),
                "{json}"
            );
        }
        for json in [r#"[{"a": 1}, 2]"#, r#"[{"a": 1}, [2]]"#, r#"{"x": [{"a": 1}, null]}"#] {
            assert_eq!(
                read(json.as_bytes(), &Options::default()),
                Err(SheetError::NotAnObject { row: 2 }),
                "{json}"
            );
        }
        assert!(fault("[{\"a\": 1},\n {\"a\" 2}]").contains("line 2 column 7"));
        assert!(fault("[{\"a\": 1}] x").contains("trailing characters at line 1 column 12"));
        assert!(fault("[{\"a\": 1}").contains("EOF"));
        assert!(fault(&"[{\"a\":".repeat(1000)).contains("recursion"));
    }

    #[test]
    fn more_than_the_limits_is_refused() {
        let wide: Vec<String> = (0..501).map(|key| format!("\"k{key}\": 1")).collect();
        let wide = format!("[{{}}, {{{}}}]", wide.join(","));
        assert_eq!(fault(&wide), "row 2 has a cell in column k500, and the limit is 500 columns");
        let many = format!("[{}]", vec!["{\"\":0}"; 50_001].join(","));
        assert!(fault(&many).starts_with("row 50001 exceeds the limit of 50000 rows"));
        let long = format!("[{{\"a\": \"{}\"}}]", "x".repeat(70_000));
        assert_eq!(fault(&long), "row 1, column a: the text is longer than 64 KB");
        let key = format!("[{{\"{}\": {{\"a\": 1}}}}]", "k".repeat(2_000));
        assert!(fault(&key).starts_with("row 1: the name of column kkk"));
        let keys = format!("[{{{}}}]", vec!["\"\":0"; 100_000].join(","));
        assert!(fault(&keys).contains("500 columns"));
    }
}
