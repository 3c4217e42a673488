//! What people have typed into the fields of a form and noted on a page. It is not part of the page's program.

use super::letters;
use super::object::File;
use super::value::{Dict, Value};

/// The most annotations of a page.
const MOST: usize = 5_000;
/// How far up a field may take what it does not say itself.
const PARENTS: usize = 8;
/// Flags of annotations: hidden, and not shown on screens.
const UNSEEN: u32 = 1 << 1 | 1 << 5;
/// The flag of a field for a password.
const PASSWORD: u32 = 1 << 13;

/// One line for each filled field and each note of a page, in the order of the page.
pub(super) fn lines(file: &File<'_>, page: &Dict) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for annotation in file.get(page, "Annots").list().iter().take(MOST) {
        let Some(dict) = file.real(annotation).dict() else { continue };
        if flags(file.get(dict, "F")) & UNSEEN != 0 {
            continue;
        }
        let line = match file.get(dict, "Subtype").name() {
            "Widget" => field(file, dict),
            // A window repeats the note that it belongs to; a link describes where it leads.
            "Popup" | "Link" => None,
            _ => Some(text(file.get(dict, "Contents")))
                .filter(|note| !note.is_empty())
                .map(|note| format!("Note: {note}")),
        };
        // The windows of one field all show its value.
        lines.extend(line.filter(|line| lines.last() != Some(line)));
    }
    lines
}

fn field(file: &File<'_>, dict: &Dict) -> Option<String> {
    if flags(inherited(file, dict, "Ff")) & PASSWORD != 0 {
        return None;
    }
    let value = match inherited(file, dict, "V") {
        Value::List(list) => {
            let chosen = list.iter().take(MOST).map(|one| text(file.real(one)));
            chosen.collect::<Vec<_>>().join(", ")
        }
        // Of several buttons with one value only the one that is on counts.
        Value::Name(name) => match file.get(dict, "AS") {
            Value::Name(shown) if shown != name => return None,
            _ if name == "Off" => return None,
            _ => name.clone(),
        },
        value => text(value),
    };
    if value.is_empty() {
        return None;
    }
    let label = match text(inherited(file, dict, "TU")) {
        label if label.is_empty() => text(inherited(file, dict, "T")),
        label => label,
    };
    Some(if label.is_empty() { value } else { format!("{label}: {value}") })
}

/// What a field or a page, or those above it, have under a name.
pub(super) fn inherited<'f>(file: &'f File<'_>, dict: &'f Dict, name: &str) -> &'f Value {
    let mut dict = dict;
    for _ in 0..PARENTS {
        match file.get(dict, name) {
            Value::Null => {}
            found => return found,
        }
        let Some(parent) = file.get(dict, "Parent").dict() else { break };
        dict = parent;
    }
    &Value::Null
}

fn flags(value: &Value) -> u32 {
    value.number().unwrap_or(0.0) as u32
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(bytes) => {
            letters(bytes).replace('\0', "").split_whitespace().collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}
