//! Entity descriptors of contacts, organizations, collections, fields, suggestions and interactions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use entity::{
    Area, Cell, Column, Entity, Field, FieldValue, Fields, Finds, Kind, LabelNames, Labelled,
    Meaning, Rows, Type, text_of,
};
use features::tasks::queries::people::assignee_of;
use jiff::tz::TimeZone;
use kernel::display;
use kernel::text::one_line;
use kernel::{Actor, Part, TypedId as _};
use search::Document;
use serde_json::{Value, json};
use store::{Range, Read, ReadExt as _, StoreError};
use uuid::Uuid;

use crate::columns;
use crate::model::{
    Collection, Contact, Contacts, Conversion, FieldDef, Import, NAME, Organizations, RECORDS,
    Records, Row, RowKind, Stored, StoredKind, Suggestion, Tag, Talk,
};
use crate::names::{Known, title_of};
use crate::rules::replace_label;
use crate::views;

pub static NOUNS: [&Entity; 7] =
    [&CONTACT, &ORGANIZATION, &RECORD, &COLLECTION, &FIELD, &TALK, &SUGGESTION];

/// Names of built-in fields in history and routines.
const ROW_FIELDS: &[Field] = &[
    Field::text(NAME, "name").called("title"),
    Field::text("stage", "stage"),
    Field::text("email", "email"),
    Field::text("email_2", "second email").hidden(),
    Field::text("phone", "phone"),
    Field::text("phone_2", "second phone").hidden(),
    Field::text("title", "role").hidden(),
    Field::text("company", "company"),
    Field::text("location", "location"),
    Field::text("source", "source"),
    Field::new("tags", "tags", Type::List),
    Field::text("owner", "owner").means(Meaning::Somebody),
    Field::text("organization", "organization"),
    Field::text("website_url", "website").hidden(),
    Field::text("linkedin_url", "LinkedIn").hidden(),
    Field::text("twitter_url", "X").hidden(),
    Field::text("last_contact_date", "last contact before HQ").hidden(),
    Field::text("relationship_strength", "relationship").hidden(),
    Field::new("archived_at", "archived", Type::Moment),
];

/// The fields of a stored row with plain values instead of cells, for titles, conditions and templates.
fn plain(kind: &'static RowKind, row: &[u8]) -> Option<Fields> {
    kind.read_row(row).map(|row| plain_of(&row))
}

fn plain_of(row: &Row) -> Fields {
    let mut fields = Fields::new();
    for (key, cell) in &row.cells {
        let value = match &cell.value {
            None => Value::Null,
            Some(FieldValue::Number(number)) => number.json(),
            Some(FieldValue::YesNo(yes)) => json!(yes),
            Some(FieldValue::Day(day)) => json!(day.to_string()),
            Some(FieldValue::At(at)) => json!(at.as_millisecond()),
            Some(FieldValue::Choices(all)) => json!(all),
            Some(FieldValue::Who(who)) => serde_json::to_value(who).unwrap_or_default(),
            Some(FieldValue::Refers(target)) => json!(target.id),
            Some(value) => json!(value.text()),
        };
        fields.insert(key.clone(), value);
    }
    fields.insert("id".to_owned(), json!(row.id));
    fields.insert("collection".to_owned(), json!(row.collection));
    fields.insert("created_at".to_owned(), json!(row.created_at.as_millisecond()));
    fields.insert("updated_at".to_owned(), json!(row.updated_at.as_millisecond()));
    let archived_at = row.archived_at.map(kernel::Timestamp::as_millisecond);
    fields.insert("archived_at".to_owned(), json!(archived_at));
    fields
}

fn list(
    kind: &'static RowKind,
    read: &dyn Read,
    most: usize,
) -> Result<Vec<entity::Keyed>, StoreError> {
    let all: Vec<Row> = kind.list(read, &Range::all().limit(most))?;
    let keyed = |row: &Row| (row.id.as_bytes().to_vec(), plain_of(row));
    Ok(all.iter().map(keyed).collect())
}

/// Number of rows of a kind per label id.
fn count_by_label(
    kind: &'static RowKind,
    read: &dyn Read,
) -> Result<BTreeMap<Uuid, usize>, StoreError> {
    let chosen = crate::list::chosen(kind, read, columns::TAGS)?;
    let mut counts = BTreeMap::new();
    for def in label_fields(kind, read)? {
        for tag in &def.tags {
            let count = chosen.get(&(def.home.collection(), tag.key.clone())).copied().unwrap_or(0);
            *counts.entry(tag.label.uuid()).or_default() += count;
        }
    }
    Ok(counts)
}

/// The tag fields of a kind.
fn label_fields(kind: &'static RowKind, read: &dyn Read) -> Result<Vec<FieldDef>, StoreError> {
    let mut all: Vec<FieldDef> = read.list(&Range::all())?;
    all.retain(|def| def.home.table() == kind.table && columns::holds_labels(def));
    Ok(all)
}

/// Current names of rows' tags.
fn label_names(kind: &'static RowKind, read: &dyn Read) -> Result<LabelNames, StoreError> {
    let mut names = HashMap::new();
    for def in label_fields(kind, read)? {
        let of_field = columns::tags(read, &def)?;
        let home = def.home.collection();
        names.extend(of_field.into_iter().map(|one| ((home, one.key), one.label)));
    }
    Ok(Box::new(move |row: &[u8]| {
        let row = kind.read_row(row);
        let Some(FieldValue::Choices(keys)) = row.as_ref().and_then(|row| row.value(columns::TAGS))
        else {
            return Vec::new();
        };
        let home = row.as_ref().and_then(|row| row.collection);
        let name = |key: &String| names.get(&(home, key.clone())).unwrap_or(key).clone();
        keys.iter().map(name).collect()
    }))
}

/// Keys of the rows with one of these labels, or with any.
fn having(
    kind: &'static RowKind,
    read: &dyn Read,
    labels: Option<&[Uuid]>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let is_asked = |tag: &&Tag| labels.is_none_or(|all| all.contains(&tag.label.uuid()));
    let mut checked = HashSet::new();
    for def in label_fields(kind, read)? {
        let tags = def.tags.iter().filter(is_asked);
        checked.extend(tags.map(|tag| (def.home.collection(), tag.key.clone())));
    }
    let mut keys = Vec::new();
    if checked.is_empty() {
        return Ok(keys);
    }
    read.raw_scan(kind.table.number, &Range::all(), &mut |key, row| {
        // ok: an unreadable row has no words either.
        if let Some(row) = kind.read_row(row)
            && let Some(FieldValue::Choices(all)) = row.value(columns::TAGS)
            && all.iter().any(|one| checked.contains(&(row.collection, one.clone())))
        {
            keys.push(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    Ok(keys)
}

/// Address of the list of rows with a label of this name.
fn with_tag(at: &str, name: &str) -> String {
    let term = format!("tag:\"{}\"", name.replace('"', ""));
    format!("{at}?q={}", web::format::query_value(&term))
}

/// Custom fields of a kind; for records, those of all collections.
fn own_fields(
    kind: &'static RowKind,
    read: &dyn Read,
) -> Result<Vec<(String, String)>, StoreError> {
    let all: Vec<FieldDef> = read.list(&Range::all())?;
    let own = all.into_iter().filter(|def| def.home.table() == kind.table);
    Ok(own.map(|def| (def.key, def.label)).collect::<BTreeMap<_, _>>().into_iter().collect())
}

const fn rows<K: StoredKind>(word: &'static str, one: &'static str, many: &'static str) -> Entity {
    Entity {
        area: Area::Customers,
        fields: ROW_FIELDS,
        rows: Rows {
            fields: |row| plain(K::kind(), row),
            list: |read, most| list(K::kind(), read, most),
            ..Entity::of::<Stored<K>>(word, one, many).rows
        },
        triggers: Some("Customers"),
        own_fields: Some(|read| own_fields(K::kind(), read)),
        linked: true,
        discussed: true,
        shorten: Some(|read, field, value| display_value(K::kind(), read, field, value)),
        spoken: Some(|read, row| spoken(K::kind(), read, row)),
        ..Entity::of::<Stored<K>>(word, one, many)
    }
}

const fn labelled<K: StoredKind>(path: fn(&str) -> String) -> Labelled {
    Labelled {
        counts: |read| count_by_label(K::kind(), read),
        path,
        replace: |tx, from, to| replace_label(K::kind(), tx, from, to),
        names: |read| label_names(K::kind(), read),
        having: |read, labels| having(K::kind(), read, labels),
    }
}

/// Descriptor of contacts.
pub static CONTACT: Entity = Entity {
    path: |row| format!("contacts/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 17,
        label: "Contacts",
        glyph: "user",
        document: |row| RowKind::CONTACTS.read_row(row).map(document),
        hit: |row| (format!("contacts/{}", text_of(row, "id")), second_line(row)),
        parts: None,
    }),
    tables: |schema| schema.with::<Contact>().with::<Import>(),
    lists: Some(views::CONTACTS),
    labelled: Some(labelled::<Contacts>(|name| with_tag("contacts", name))),
    ..rows::<Contacts>("contact", "contact", "contacts")
};

/// Descriptor of organizations.
pub static ORGANIZATION: Entity = Entity {
    path: |row| format!("organizations/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 18,
        label: "Organizations",
        glyph: "layers",
        document: |row| RowKind::ORGANIZATIONS.read_row(row).map(document),
        hit: |row| (format!("organizations/{}", text_of(row, "id")), second_line(row)),
        parts: None,
    }),
    lists: Some(views::ORGANIZATIONS),
    labelled: Some(labelled::<Organizations>(|name| with_tag("organizations", name))),
    ..rows::<Organizations>("organization", "organization", "organizations")
};

/// Descriptor of records of collections.
pub static RECORD: Entity = Entity {
    path: |row| format!("records/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 19,
        label: "Records",
        glyph: "list",
        document: |row| RowKind::RECORDS.read_row(row).map(document),
        hit: |row| (format!("records/{}", text_of(row, "id")), second_line(row)),
        parts: None,
    }),
    labelled: Some(labelled::<Records>(|_| String::new())),
    ..rows::<Records>("record", "record", "records")
};

/// Descriptor of collections.
pub static COLLECTION: Entity = Entity {
    area: Area::Customers,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("icon", "emoji"),
        Field::text("description", "description"),
        Field::new("archived_at", "archived", Type::Moment),
    ],
    path: |row| format!("collections/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 20,
        label: "Collections",
        glyph: "layers",
        document: |row| {
            let collection = entity::decode_row::<Collection>(row)?;
            Some(Document {
                title: collection.name,
                body: collection.description,
                at: collection.updated_at.as_second(),
                archived: collection.archived_at.is_some(),
                ..Document::default()
            })
        },
        hit: |row| (format!("collections/{}", text_of(row, "id")), "Collection".to_owned()),
        parts: None,
    }),
    linked: true,
    triggers: Some("Customers"),
    lists: Some(views::COLLECTIONS),
    ..Entity::of::<Collection>("collection", "collection", "collections")
};

/// Descriptor of fields.
pub static FIELD: Entity = Entity {
    area: Area::Customers,
    fields: &[Field::text("label", "name").called("title")],
    title: |row| text_of(row, "label").to_owned(),
    path: |_| "settings/fields".to_owned(),
    triggers: Some("Customers"),
    rests: Some(crate::uses::field),
    tables: |schema| schema.with::<FieldDef>().with::<Conversion>(),
    ..Entity::of::<FieldDef>("field", "field", "fields")
};

/// Descriptor of suggestions.
pub static SUGGESTION: Entity = Entity {
    area: Area::Customers,
    fields: &[Field::text("field", "field").called("title")],
    title: |row| text_of(row, "field").to_owned(),
    path: |_| "suggestions".to_owned(),
    triggers: Some("Customers"),
    review: Some("suggestions"),
    ..Entity::of::<Suggestion>("suggestion", "suggested value", "suggested values")
};

/// Descriptor of interactions.
pub static TALK: Entity = Entity {
    area: Area::Customers,
    fields: &[
        Field::text("way", "direction"),
        Field::text("body", "text"),
        Field::text("next_action", "next step"),
        Field::text("next_on", "follow-up"),
        Field::new("next_done_at", "follow-up done", Type::Moment),
        Field::new("occurred_at", "when", Type::Moment),
    ],
    title: talk_title,
    path: talk_path,
    finds: Some(Finds {
        number: 21,
        label: "Interactions",
        glyph: "comment",
        document: |row| {
            let talk = entity::decode_row::<Talk>(row)?;
            Some(Document {
                title: talk.subject,
                body: format!("{}\n{}", talk.body, talk.next_action),
                at: talk.occurred_at.as_second(),
                ..Document::default()
            })
        },
        hit: |row| (talk_path(row), "Interaction".to_owned()),
        parts: None,
    }),
    triggers: Some("Customers"),
    ..Entity::of::<Talk>("interaction", "interaction", "interactions")
};

fn talk_title(row: &Fields) -> String {
    let subject = text_of(row, "subject");
    let shown = if subject.is_empty() { text_of(row, "body") } else { subject };
    kernel::text::ellipsis(&kernel::text::one_line(shown), 80)
}

fn talk_path(row: &Fields) -> String {
    match (text_of(row, "contact"), text_of(row, "organization")) {
        ("", "") => String::new(),
        ("", organization) => format!("organizations/{organization}"),
        (contact, _) => format!("contacts/{contact}"),
    }
}

/// The line that distinguishes records of the same name.
fn second_line(row: &Fields) -> String {
    let keys = ["email", "company", "industry", "location", "phone"];
    keys.iter()
        .map(|key| text_of(row, key))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// Minimum number of last digits by which a phone number is found.
const FEWEST_DIGITS: usize = 4;

/// The search document of a row. Search shows the body, so words that only help to find the row are tags: keys of
/// choices, and the digits of phone numbers with all their endings.
fn document(row: Row) -> Document {
    let (mut body, mut tags) = (String::new(), Vec::new());
    for (key, cell) in &row.cells {
        let Some(value) = &cell.value else { continue };
        match value {
            // Labels are indexed by their names, which change.
            FieldValue::Choices(_) if key == columns::TAGS => {}
            FieldValue::Choices(all) => tags.extend(all.iter().cloned()),
            FieldValue::Choice(choice) => tags.push(choice.clone()),
            FieldValue::Phone(number) => {
                let digits = entity::digits(number);
                body.push_str(&format!("{number}\n"));
                let ends = 0..(digits.len() + 1).saturating_sub(FEWEST_DIGITS).max(1);
                tags.extend(ends.map(|from| digits[from..].to_owned()));
            }
            FieldValue::Number(number) => body.push_str(&format!("{number}\n")),
            value if key != NAME => {
                body.push_str(&format!("{}\n", value.text().unwrap_or_default()))
            }
            _ => {}
        }
    }
    let tags = tags.join(" ");
    Document {
        subtitle: row.text("email").to_owned(),
        title: row.name().to_owned(),
        body,
        tags,
        at: row.updated_at.as_second(),
        archived: row.archived_at.is_some(),
        ..Document::default()
    }
}

/// A row as deliverable text: its fields with their labels.
fn spoken(kind: &'static RowKind, read: &dyn Read, row: &[u8]) -> Result<String, StoreError> {
    let Some(row) = kind.read_row(row) else { return Ok(String::new()) };
    let known = Known::new(read, assignee_of(Actor::System(Part::Engine)))?;
    let mut out = format!("# {}\n\n", one_line(row.name()));
    for column in columns::of(read, row.home())? {
        let Some(value) = row.value(&column.key).filter(|_| column.key != NAME) else { continue };
        let shown = column.shown(value, &known);
        match column.kind {
            Kind::LongText => out.push_str(&format!("\n**{}**\n\n{shown}\n\n", column.label)),
            _ => out.push_str(&format!("- **{}:** {}\n", column.label, one_line(&shown))),
        }
    }
    Ok(out)
}

/// A cell in the form for history: its value in words, without its origin.
fn display_value(kind: &'static RowKind, read: &dyn Read, field: &str, value: &Value) -> Value {
    let Ok(cell) = serde_json::from_value::<Cell>(value.clone()) else { return value.clone() };
    match cell.value {
        None => Value::Null,
        Some(FieldValue::Number(number)) => json!(number.grouped()),
        Some(FieldValue::YesNo(yes)) => json!(yes),
        Some(FieldValue::Day(day)) => json!(display::day(day)),
        Some(FieldValue::At(at)) => {
            json!(display::day_time(at.to_zoned(TimeZone::UTC).datetime()))
        }
        Some(FieldValue::Choice(key)) => json!(labels(kind, read, field, &[key]).concat()),
        Some(FieldValue::Choices(all)) => json!(labels(kind, read, field, &all)),
        Some(FieldValue::Who(who)) => serde_json::to_value(who).unwrap_or_default(),
        Some(FieldValue::Refers(target)) => match title_of(read, target) {
            title if title.is_empty() => Value::Null,
            title => json!(title),
        },
        Some(value) => json!(value.text()),
    }
}

/// Labels of choices. For records, whose collection is not known here, they are derived from the keys.
fn labels(kind: &'static RowKind, read: &dyn Read, field: &str, keys: &[String]) -> Vec<String> {
    let all = match kind.table == RECORDS {
        true => Vec::new(),
        // ok: without readable fields there are no labels, as for deleted fields.
        false => columns::of(read, kind.home(None)).unwrap_or_default(),
    };
    let column = all.into_iter().find(|column| column.key == field);
    let column = column.unwrap_or_else(|| Column::new(field, "", Kind::Select));
    keys.iter().map(|key| column.label_of(key)).collect()
}

#[cfg(test)]
mod tests {
    use entity::FieldValue;
    use store::Record as _;

    use super::document;
    use crate::model::Contact;

    #[test]
    fn a_telephone_is_found_by_how_it_ends() {
        let mut row = Contact::sample().into_row();
        let mut cell = row.cells["email"].clone();
        cell.value = Some(FieldValue::Phone("+49 40 555-01".into()));
        row.cells.insert("phone".into(), cell);
        let document = document(row);
        let tags: Vec<&str> = document.tags.split_whitespace().collect();
        for end in ["494055501", "55501", "5501"] {
            assert!(tags.contains(&end), "{end}: {tags:?}");
        }
        assert!(!tags.contains(&"501"), "{tags:?}");
        assert!(!document.body.contains("5501"), "search shows the body: {}", document.body);
    }
}
