//! Checks whether records use a field or its choices; these are not reverted then.

use entity::{Choice, FieldValue};
use store::{Read, StoreError};

use crate::columns::{self, TAGS};
use crate::model::{FieldDef, Row};
use crate::rules::rows_of;

/// Why a field cannot be reverted: records would keep values that it does not allow. `after` is the store as it would
/// be then.
pub(crate) fn field(
    after: &dyn Read,
    now: Option<&[u8]>,
    to: Option<&[u8]>,
) -> Result<Option<String>, StoreError> {
    let Some(now) = now.and_then(entity::decode_row::<FieldDef>).filter(|now| now.key != TAGS)
    else {
        return Ok(None);
    };
    // Only the changes of a built-in field are reverted, and the field stays.
    let own = || columns::own(now.home).into_iter().find(|column| column.key == now.key);
    let left: Option<Vec<Choice>> = match to.and_then(entity::decode_row::<FieldDef>) {
        Some(to) => Some(to.choices),
        None => own().map(|column| column.choices),
    };
    let stays = |choice: &Choice| left.iter().flatten().any(|one| one.key == choice.key);
    let gone: Vec<&str> = now
        .choices
        .iter()
        .filter(|choice| !stays(choice))
        .map(|choice| choice.key.as_str())
        .collect();
    if left.is_some() && gone.is_empty() {
        return Ok(None);
    }
    let uses = |value: &FieldValue| match value {
        _ if left.is_none() => true,
        FieldValue::Choice(key) => gone.contains(&key.as_str()),
        FieldValue::Choices(keys) => keys.iter().any(|key| gone.contains(&key.as_str())),
        _ => false,
    };
    let uses = |row: &Row| row.value(&now.key).is_some_and(uses);
    let kind = now.home.kind();
    let mut count = 0_usize;
    for row in rows_of(after, now.home)?.into_iter().filter(|row| uses(row)) {
        let then = kind.get(after, row.id)?;
        count += usize::from(then.is_some_and(|row| uses(&row)));
    }
    let noun = kind.entity();
    Ok(match count {
        0 => None,
        1 => Some(format!("1 {} uses it now", noun.one)),
        n => Some(format!("{n} {} use it now", noun.many)),
    })
}
