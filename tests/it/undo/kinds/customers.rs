//! Actions on contacts, organizations, collections and their parts, cell by cell.

use crm::model::{
    Collection, Contact, ContactId, EntryRow, FieldDef, Home, Organization, RowKind, Talk,
};
use crm::rules::{self, CollectionPatch, FieldPatch, Sent, TalkPatch};
use entity::{FieldValue, Origin, Target};
use kernel::TypedId as _;
use serde_json::{Map, Value, json};
use store::WriteTx;

use super::desk::{Acted, Pick, by_rule, one};

fn sent(values: Value) -> Sent {
    match values {
        Value::Object(values) => Sent::of(values),
        _ => Sent::of(Map::new()),
    }
}

pub fn contact(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match c % 6 {
        0 | 1 => {
            let body =
                json!({ "name": format!("Contact {b}"), "email": format!("c{a}-{b}@example.com") });
            by_rule(rules::create(RowKind::CONTACTS, tx, None, &sent(body)))
        }
        5 => {
            let id = one::<Contact>(tx, a)?.id;
            by_rule(rules::remove(RowKind::CONTACTS, tx, id))
        }
        _ => {
            let id = one::<Contact>(tx, a)?.id;
            let stages = ["lead", "qualified", "won"];
            let body = match b % 5 {
                0 => json!({ "phone": format!("040 {}", 100 + u32::from(c)) }),
                1 => json!({ "stage": stages[usize::from(c) % 3] }),
                2 => json!({ "organization": format!("House {}", c % 4) }),
                3 => json!({ "tags": [format!("tag {}", c % 3)] }),
                _ => json!({ "notes": if c % 2 == 0 { Value::Null } else { json!("Words") } }),
            };
            by_rule(rules::change(RowKind::CONTACTS, tx, id, &sent(body)))
        }
    }
}

pub fn organization(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match c % 4 {
        0 | 1 => {
            let body = json!({ "name": format!("House {b}"), "industry": "Bread" });
            by_rule(rules::create(RowKind::ORGANIZATIONS, tx, None, &sent(body)))
        }
        2 => {
            let id = one::<Organization>(tx, a)?.id;
            let body = json!({ "location": format!("Street {b}") });
            by_rule(rules::change(RowKind::ORGANIZATIONS, tx, id, &sent(body)))
        }
        _ => {
            let id = one::<Organization>(tx, a)?.id;
            by_rule(rules::remove(RowKind::ORGANIZATIONS, tx, id))
        }
    }
}

pub fn collection(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let named = CollectionPatch { name: Some(format!("Table {b}")), ..CollectionPatch::default() };
    match c % 4 {
        0 | 1 => by_rule(rules::make_collection(tx, named)),
        2 => {
            let id = one::<Collection>(tx, a)?.id;
            by_rule(rules::change_collection(tx, id, named))
        }
        _ => {
            let id = one::<Collection>(tx, a)?.id;
            by_rule(rules::remove_collection(tx, id))
        }
    }
}

pub fn record(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match c % 4 {
        0 | 1 => {
            let collection = one::<Collection>(tx, a)?.id;
            let body = json!({ "name": format!("Record {b}") });
            by_rule(rules::create(RowKind::RECORDS, tx, Some(collection), &sent(body)))
        }
        2 => {
            let id = one::<EntryRow>(tx, a)?.id;
            by_rule(rules::change(
                RowKind::RECORDS,
                tx,
                id,
                &sent(json!({ "name": format!("Other {b}") })),
            ))
        }
        _ => {
            let id = one::<EntryRow>(tx, a)?.id;
            by_rule(rules::set_archived(RowKind::RECORDS, tx, id, b % 2 == 0))
        }
    }
}

pub fn field(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let patch = FieldPatch { label: Some(format!("Field {}", b % 9)), ..FieldPatch::default() };
    match c % 4 {
        0 | 1 => by_rule(rules::make_field(tx, Home::Contacts, patch)),
        2 => {
            let def = one::<FieldDef>(tx, a)?;
            let about = FieldPatch { about: Some(format!("For {b}")), ..FieldPatch::default() };
            by_rule(rules::change_field(tx, (def.home, &def.key), about, None))
        }
        _ => {
            let def = one::<FieldDef>(tx, a)?;
            by_rule(rules::remove_field(tx, (def.home, &def.key)))
        }
    }
}

pub fn talk(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let said = TalkPatch { body: Some(format!("Said {b}")), ..TalkPatch::default() };
    match c % 4 {
        0 | 1 => {
            let contact = ContactId::from_uuid(one::<Contact>(tx, a)?.id);
            by_rule(rules::log(tx, (Some(contact), None), said))
        }
        2 => {
            let id = one::<Talk>(tx, a)?.id;
            by_rule(rules::change_talk(tx, id, said))
        }
        _ => {
            let id = one::<Talk>(tx, a)?.id;
            by_rule(rules::remove_talk(tx, id))
        }
    }
}

pub fn suggestion(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let contact = one::<Contact>(tx, a)?;
    let row = Target { table: crm::model::CONTACTS.number, id: contact.id };
    let origin = Origin {
        by: tx.by(),
        cause: tx.cause(),
        at: tx.now(),
        row: None,
        sources: Vec::new(),
        right: None,
    };
    let field = ["phone", "title"][usize::from(c) % 2];
    let value = Some(FieldValue::Text(format!("Better {b}")));
    by_rule(rules::suggest(tx, row, (field, value), origin))
}
