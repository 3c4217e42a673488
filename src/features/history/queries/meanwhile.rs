//! Describes concurrent changes of a record after an edit conflict.

use app::Ws;
use kernel::text::capitalized;
use kernel::{AccountId, Actor, Problem, ProblemKind};
use store::history::{self, Version, Walk};
use store::{Read, Record, Root, StoreError};
use web::form::EditConflict;
use web::session::Person;

use super::fields::{FieldDiff, Speaker};
use super::names::Names;
use super::readable::{Eye, Looker};
use super::versions::fields_of;

/// Maximum number of versions to examine.
const MOST: usize = 50;
/// Maximum length of a value in the sentence, in characters.
const SHORT: usize = 60;
/// Fields that change automatically and are in no form.
const BY_ITSELF: &[&str] = &["next_at"];

/// Who changed what in the record since revision `rev` of a rejected form, as a sentence. `None` if the form was
/// rejected for another reason.
pub fn after<R: Record>(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    (id, rev): (R::Id, &str),
    refusal: &dyn Problem,
) -> Result<EditConflict, StoreError> {
    after_root(ws, who, read, (&Root::of::<R>(id), rev), refusal)
}

/// The same for a record by table and key.
pub fn after_root(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    (root, rev): (&Root, &str),
    refusal: &dyn Problem,
) -> Result<EditConflict, StoreError> {
    if refusal.kind() != ProblemKind::Stale {
        return Ok(EditConflict::default());
    }
    let schema = ws.store.schema();
    // An invalid revision counts as older than all.
    let rev: u64 = rev.parse().unwrap_or(0);
    let newer = newer(ws, who, read, (root, rev))?;
    let names = Names::new(read)?;
    let zone = who.time_zone();
    let speaker = Speaker { names: &names, zone };
    let diff = |from: &Version, to: &Version| {
        let before = fields_of(schema, root.table, from.before.bytes());
        let after = fields_of(schema, root.table, to.after.bytes());
        // A comparison with one side missing would look like a creation.
        let known = before.is_some() && after.is_some();
        let all = match known {
            true => speaker.diff(root.table, before.as_ref(), after.as_ref())?,
            false => Vec::new(),
        };
        let all = all.into_iter().filter(|field| !BY_ITSELF.contains(&field.name.as_str()));
        Ok::<_, StoreError>((all.collect::<Vec<_>>(), known))
    };
    let mut by: Vec<String> = Vec::new();
    for version in newer.iter().rev() {
        let (fields, known) = diff(version, version)?;
        let name = name(&names, version.actor, who.account);
        if (!known || !fields.is_empty()) && !by.contains(&name) {
            by.push(name);
        }
    }
    let fields = match (newer.last(), newer.first()) {
        (Some(first), Some(last)) => diff(first, last)?.0,
        _ => Vec::new(),
    };
    let seen = Eye::new(read, Looker::of(who)).may_read_history(root.table);
    Ok(EditConflict {
        rev: history::last_touch(read, root)?.to_string(),
        message: sentence(&by, &fields),
        history: if seen { ws.url(&super::path(schema, root)) } else { String::new() },
    })
}

/// Versions after a revision that this person may see, newest first.
fn newer(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    (root, rev): (&Root, u64),
) -> Result<Vec<Version>, StoreError> {
    let eye = Eye::new(read, Looker::of(who));
    let mut newer = Vec::new();
    let Some(walk) = Walk::begin(read, ws.store.schema(), root, None)? else { return Ok(newer) };
    for version in walk.take(MOST) {
        let version = version?;
        if version.seq <= rev || !eye.sees_version(root.table, &version)? {
            break;
        }
        newer.push(version);
    }
    Ok(newer)
}

/// Name of an actor from the reader's point of view.
fn name(names: &Names<'_>, actor: Actor, me: AccountId) -> String {
    if actor.account() == Some(me) {
        return "you, in another window,".to_owned();
    }
    names.people.actor(actor).name
}

/// Authors and fields, oldest change first.
fn sentence(by: &[String], fields: &[FieldDiff]) -> String {
    let who = match by {
        [] => "someone else".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    };
    let fields: Vec<String> = fields.iter().map(field).collect();
    let what = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
    let who = capitalized(&who);
    format!(
        "{who} changed this while you were typing{what}. What you typed is still here. Save \
         again to overwrite the change."
    )
}

/// Field label, with the current value if it is short.
fn field(field: &FieldDiff) -> String {
    let label = &field.label;
    match &field.after {
        Some(now) if field.raw.1.is_string() && now.text.chars().count() <= SHORT => {
            format!("{label} (now “{}”)", now.text)
        }
        None if field.lines.is_empty() => format!("{label} (now empty)"),
        _ => label.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{field, sentence};
    use crate::history::queries::fields::FieldDiff;
    use crate::history::queries::names::Word;

    fn diff(label: &str, now: &str) -> FieldDiff {
        FieldDiff {
            name: label.to_lowercase(),
            label: label.to_owned(),
            before: None,
            after: Some(now).filter(|now| !now.is_empty()).map(Word::plain),
            lines: Vec::new(),
            whole: false,
            raw: (Value::Null, json!(now)),
        }
    }

    #[test]
    fn a_sentence_says_who_and_what() {
        let by = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let text = sentence(&by(&["Tom"]), &[diff("Name", "Ops"), diff("Goal", "")]);
        let begins =
            "Tom changed this while you were typing: Name (now “Ops”), Goal (now empty). What";
        assert!(text.starts_with(begins), "{text}");
        let text = sentence(&by(&["Tom", "Ada", "HQ"]), &[]);
        assert!(text.starts_with("Tom, Ada and HQ changed this while you were typing. "), "{text}");
        let text = sentence(&by(&["you, in another window,"]), &[]);
        assert!(text.starts_with("You, in another window, changed this"), "{text}");
        assert!(sentence(&[], &[]).starts_with("Someone else changed this"));
    }

    #[test]
    fn a_value_that_is_long_or_no_text_is_only_named() {
        assert_eq!(field(&diff("Goal", &"x".repeat(61))), "Goal");
        let lead = FieldDiff { raw: (Value::Null, json!({ "Agent": "x" })), ..diff("Lead", "Ada") };
        assert_eq!(field(&lead), "Lead");
    }
}
