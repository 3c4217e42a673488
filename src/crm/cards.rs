//! The cards: all that the rest of HQ knows of contacts, organizations and collections.

use noun::{Area, Cell, Field, FieldValue, Fields, Finds, Noun, Type, text_of};
use search::Document;
use serde_json::{Value, json};
use store::Read;

use crate::model::{
    Book, Collection, Contacts, FieldDef, Import, NAME, Organizations, Records, Row, Suggestion,
    Talk,
};

/// All of them.
pub static NOUNS: [&Noun; 6] = [&CONTACT, &ORGANIZATION, &RECORD, &COLLECTION, &FIELD, &TALK];

/// Fields whose keys do not say what people call them.
const ROW_FIELDS: &[Field] = &[
    Field::text(NAME, "name").called("title"),
    Field::text("email_2", "second email"),
    Field::text("phone_2", "second phone"),
    Field::text("title", "role"),
    Field::text("website_url", "website"),
    Field::text("linkedin_url", "LinkedIn"),
    Field::text("twitter_url", "X"),
    Field::text("last_contact_date", "last contact before HQ"),
    Field::text("relationship_strength", "relationship"),
    Field::new("archived_at", "archived", Type::Moment),
];

const fn rows<B: Book>(word: &'static str, one: &'static str, many: &'static str) -> Noun {
    Noun {
        area: Area::Customers,
        fields: ROW_FIELDS,
        title: row_title,
        linked: true,
        told: Some(told),
        ..Noun::of::<Row<B>>(word, one, many)
    }
}

/// The card of contacts.
pub static CONTACT: Noun = Noun {
    path: |row| format!("contacts/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 17,
        label: "Contacts",
        glyph: "user",
        document: |row| noun::typed::<Row<Contacts>>(row).map(document),
        hit: |row| (format!("contacts/{}", text_of(row, "id")), second_line(row)),
    }),
    tables: |schema| schema.with::<Row<Contacts>>().with::<Suggestion>().with::<Import>(),
    ..rows::<Contacts>("contact", "contact", "contacts")
};

/// The card of organizations.
pub static ORGANIZATION: Noun = Noun {
    path: |row| format!("organizations/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 18,
        label: "Organizations",
        glyph: "layers",
        document: |row| noun::typed::<Row<Organizations>>(row).map(document),
        hit: |row| (format!("organizations/{}", text_of(row, "id")), second_line(row)),
    }),
    ..rows::<Organizations>("organization", "organization", "organizations")
};

/// The card of records of collections.
pub static RECORD: Noun = Noun {
    path: |row| format!("records/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 19,
        label: "Records",
        glyph: "list",
        document: |row| noun::typed::<Row<Records>>(row).map(document),
        hit: |row| (format!("records/{}", text_of(row, "id")), second_line(row)),
    }),
    ..rows::<Records>("record", "record", "records")
};

/// The card of collections.
pub static COLLECTION: Noun = Noun {
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
            let collection = noun::typed::<Collection>(row)?;
            Some(Document {
                title: collection.name,
                body: collection.description,
                at: collection.updated_at.as_second(),
                archived: collection.archived_at.is_some(),
                ..Document::default()
            })
        },
        hit: |row| (format!("collections/{}", text_of(row, "id")), "Collection".to_owned()),
    }),
    linked: true,
    ..Noun::of::<Collection>("collection", "collection", "collections")
};

/// The card of fields.
pub static FIELD: Noun = Noun {
    area: Area::Customers,
    fields: &[Field::text("label", "name").called("title")],
    title: |row| text_of(row, "label").to_owned(),
    path: |_| "settings/fields".to_owned(),
    ..Noun::of::<FieldDef>("field", "field", "fields")
};

/// The card of talks.
pub static TALK: Noun = Noun {
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
        label: "Talks",
        glyph: "comment",
        document: |row| {
            let talk = noun::typed::<Talk>(row)?;
            Some(Document {
                title: talk.subject,
                body: format!("{}\n{}", talk.body, talk.next_action),
                at: talk.occurred_at.as_second(),
                ..Document::default()
            })
        },
        hit: |row| (talk_path(row), "Talk".to_owned()),
    }),
    ..Noun::of::<Talk>("interaction", "talk", "talks")
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

/// The words of a cell that is made of them.
fn cell_text<'f>(row: &'f Fields, key: &str) -> &'f str {
    let value = row.get(key).and_then(|cell| cell["value"].as_object());
    value.and_then(|value| value.values().next()).and_then(Value::as_str).unwrap_or_default()
}

fn row_title(row: &Fields) -> String {
    cell_text(row, NAME).to_owned()
}

/// What tells a record from another of the same name.
fn second_line(row: &Fields) -> String {
    let told = ["email", "company", "industry", "location", "phone"];
    told.iter()
        .map(|key| cell_text(row, key))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// All words of a row; of a telephone the digits, too, so that it is found as anybody would type it.
fn document<B: Book>(row: Row<B>) -> Document {
    let (mut body, mut tags) = (String::new(), String::new());
    for (key, cell) in &row.cells {
        let Some(value) = &cell.value else { continue };
        match value {
            FieldValue::Choices(all) => tags.push_str(&all.join(" ")),
            FieldValue::Phone(number) => {
                body.push_str(&format!("{number} {}\n", noun::digits(number)))
            }
            FieldValue::Number(number) => body.push_str(&format!("{number}\n")),
            value if key != NAME => {
                body.push_str(&format!("{}\n", value.text().unwrap_or_default()))
            }
            _ => {}
        }
    }
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

/// A cell as history shows it: its value in words, without its origin.
fn told(read: &dyn Read, _: &str, value: &Value) -> Value {
    let Ok(cell) = serde_json::from_value::<Cell>(value.clone()) else { return value.clone() };
    match cell.value {
        None => Value::Null,
        Some(FieldValue::Number(number)) => json!(number.grouped()),
        Some(FieldValue::YesNo(yes)) => json!(yes),
        Some(FieldValue::Day(day)) => json!(day.strftime("%-d %b %Y").to_string()),
        Some(FieldValue::At(at)) => json!(at.strftime("%-d %b %Y, %H:%M").to_string()),
        Some(FieldValue::Choice(key)) => json!(words(&key)),
        Some(FieldValue::Choices(all)) => all.iter().map(|key| words(key)).collect(),
        Some(FieldValue::Who(who)) => serde_json::to_value(who).unwrap_or_default(),
        Some(FieldValue::Refers(target)) => {
            let key = kernel::key::KeyBuf::of(
                &<crate::model::ContactId as kernel::TypedId>::from_uuid(target.id),
            )
            .into_bytes();
            // ok: a record that cannot be read has no name, as one that is gone.
            let title = features::cards::of_table(target.table)
                .and_then(|noun| Some((noun.title)(&noun.get(read, &key).ok()??)));
            title.map_or(Value::Null, Value::String)
        }
        Some(value) => json!(value.text()),
    }
}

fn words(key: &str) -> String {
    kernel::text::capitalized(&key.replace('_', " "))
}
