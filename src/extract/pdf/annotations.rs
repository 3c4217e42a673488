//! Values of form fields and annotations of a page, which are not part of its content stream.

use super::letters;
use super::object::File;
use super::value::{Dict, Value};

/// Limit of annotations per page.
const MOST: usize = 5_000;
/// Deepest inheritance of fields.
const PARENTS: usize = 8;
/// Annotation flags: hidden, and not shown on screens.
const UNSEEN: u32 = 1 << 1 | 1 << 5;
/// Field flag: password.
const PASSWORD: u32 = 1 << 13;

/// One line per filled field and per annotation, in page order.
pub(super) fn lines(file: &File<'_>, page: &Dict) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for annotation in file.get(page, "Annots").list().iter().take(MOST) {
        let Some(dict) = file.real(annotation).dict() else { continue };
        if flags(file.get(dict, "F")) & UNSEEN != 0 {
            continue;
        }
        let line = match file.get(dict, "Subtype").name() {
            "Widget" => field(file, dict),
            // A popup repeats its annotation; a link's text describes its target.
            "Popup" | "Link" => None,
            _ => Some(text(file.get(dict, "Contents")))
                .filter(|note| !note.is_empty())
                .map(|note| format!("Note: {note}")),
        };
        // All widgets of a field show the same value.
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
        // Of several radio buttons, only the one that is on counts.
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

/// Value of a key in a field or page, or inherited from its parents.
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
