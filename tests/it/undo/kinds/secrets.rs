//! Acts on secrets. Their values are sealed rows, which no undo touches.

use crypto::keyring::Sealed;
use features::agents::model::Agent;
use store::WriteTx;
use vault::model::{Category, Scope, Secret};
use vault::rules::{self, NewSecret, Patch};
use vault::values::NewValue;

use super::desk::{Acted, Pick, by_rule, one};

fn value() -> NewValue {
    let sealed = Sealed::from_stored("enc:v1:none");
    NewValue { sealed, key_id: "none".to_owned(), is_short: false }
}

pub fn secret(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if c % 6 < 2 {
        let scope = match b % 3 {
            0 => Scope::Workspace,
            _ => Scope::Agents(vec![one::<Agent>(tx, a)?.id]),
        };
        let new = NewSecret {
            name: format!("Secret {}", b % 5),
            key: None,
            category: Category::User,
            plain: false,
            value: value(),
            patch: Patch { scope: Some(scope), ..Patch::default() },
        };
        return by_rule(rules::create(tx, new));
    }
    let id = one::<Secret>(tx, a)?.id;
    match c % 6 {
        2 => by_rule(rules::remove(tx, id)),
        3 => by_rule(rules::restore(tx, id)),
        4 => by_rule(rules::set_value(tx, id, value())),
        _ => {
            let note = Some(format!("Note {}", b % 3));
            by_rule(rules::change(tx, id, Patch { note, ..Patch::default() }))
        }
    }
}
