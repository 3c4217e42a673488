//! `export` of contacts, organizations and records: all that fit words and conditions, as CSV that an import reads again,
//! or as JSON.

use clap::Args;
use serde_json::Value;
use sheet::CsvWriter;

use super::Common;
use super::agents::{items, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{one_of, query};

/// Which rows, and how. It has no group of its own: that of a command which takes it in has the same name.
#[derive(Args)]
#[group(skip)]
pub struct Export {
    /// Words and conditions, as on the page
    q: Option<String>,
    /// csv or json
    #[arg(long, default_value = "csv", value_parser = one_of(["csv", "json"]))]
    format: String,
    #[command(flatten)]
    place: Place,
}

/// Prints all rows that fit, with all their fields.
pub async fn export(
    common: &Common,
    door: &Door,
    (path, of): (&str, &str),
    flags: &Export,
) -> Result<u8, CommandError> {
    let within = flags.place.workspace.as_ref();
    let fields = format!("/api/v1/fields{}", query(&[("of", Some(of))]));
    let fields = door.call(Ask::get(fields).within(within)).await?;
    let (mut rows, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let part = query(&[
            ("q", flags.q.as_deref()),
            ("sort", Some("created")),
            ("limit", Some("500")),
            ("cursor", cursor.as_deref()),
        ]);
        let page = door.call(Ask::get(format!("{path}{part}")).within(within)).await?;
        rows.extend(items(&page).iter().cloned());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let failed = |why: &dyn std::fmt::Display| CommandError::Failed(why.to_string());
    let text = match flags.format.as_str() {
        "json" => serde_json::to_string_pretty(&rows).map_err(|error| failed(&error))?,
        _ => csv(items(&fields), &rows).map_err(|error| failed(&error))?,
    };
    print(common, &rows, &[text.trim_end().to_owned()])
}

/// Rows as CSV: the fields by what people call them, and the ids by which an import finds the records again.
fn csv(fields: &[Value], rows: &[Value]) -> std::io::Result<String> {
    let mut csv = CsvWriter::new(Vec::new());
    csv.row(fields.iter().map(|field| word(field, "label")).chain(["id"]))?;
    for row in rows {
        let cells = fields.iter().map(|field| cell(field, &row[word(field, "key")]));
        csv.row(cells.chain([word(row, "id").to_owned()]))?;
    }
    Ok(String::from_utf8_lossy(&csv.finish()?).into_owned())
}

/// A value as it would be typed.
fn cell(field: &Value, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        // Tags are told by the names of their labels.
        Value::String(text)
            if word(field, "key") == "tags" && word(field, "kind") == "multi_select" =>
        {
            text.clone()
        }
        Value::String(text) => {
            let mut choices = field["choices"].as_array().into_iter().flatten();
            let called = choices.find(|one| word(one, "key") == text);
            called.map_or(text.as_str(), |one| word(one, "label")).to_owned()
        }
        Value::Array(all) => all.iter().map(|one| cell(field, one)).collect::<Vec<_>>().join(", "),
        Value::Object(_) => word(value, "name").to_owned(),
        Value::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::csv;

    #[test]
    fn rows_are_written_as_an_import_reads_them() {
        let fields = [
            json!({ "key": "name", "label": "Name" }),
            json!({ "key": "stage", "label": "Stage", "choices": [{ "key": "c_2", "label": "C++" }] }),
            json!({ "key": "organization", "label": "Organization" }),
            json!({ "key": "tags", "label": "Tags", "kind": "multi_select", "choices": [{ "key": "new", "label": "VIP" }] }),
        ];
        let rows = [
            json!({ "id": "7", "name": "Rosa, Ltd", "stage": "c_2", "organization": { "id": "1", "name": "Harbour" }, "tags": ["VIP", "new"] }),
            json!({ "id": "8", "name": "=1+1" }),
        ];
        let text = csv(&fields, &rows).expect("a text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Name,Stage,Organization,Tags,id");
        assert_eq!(lines[1], "\"Rosa, Ltd\",C++,Harbour,\"VIP, new\",7");
        assert_eq!(lines[2], "'=1+1,,,,8", "no formula leaves");
    }
}
