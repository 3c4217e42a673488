//! Interactions: record, change, delete; complete and postpone follow-ups.

use jiff::civil::Date;
use kernel::key::KeyBuf;
use kernel::text::one_line;
use kernel::{FieldError, RowAct, Timestamp};
use store::{Range, ReadExt as _, WriteTx};

use crate::cards::TALK;
use crate::error::CrmError;
use crate::model::{
    BY_CONTACT, Contact, ContactId, Organization, OrganizationId, Talk, TalkId, TalkKind, Way,
};

/// Maximum characters of a subject or a next step.
const MAX_LINE: usize = 300;
/// Maximum size of a body in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Changes of an interaction; `None` keeps the value, or the default of a new one.
#[derive(Clone, Debug, Default)]
pub struct TalkPatch {
    pub kind: Option<TalkKind>,
    /// Direction.
    pub way: Option<Option<Way>>,
    pub subject: Option<String>,
    pub body: Option<String>,
    pub occurred_at: Option<Timestamp>,
    pub next_action: Option<String>,
    /// Due date of the follow-up.
    pub next_on: Option<Option<Date>>,
    /// Whether the follow-up is done.
    pub next_done: Option<bool>,
}

/// Records an interaction. Without an organization it gets that of the contact.
///
/// # Errors
/// When neither contact nor organization exists, or the input is invalid.
pub fn log(
    tx: &mut WriteTx<'_>,
    (contact, organization): (Option<ContactId>, Option<OrganizationId>),
    patch: TalkPatch,
) -> Result<Talk, CrmError> {
    if let Some(contact) = contact {
        tx.get::<Contact>(contact)?.ok_or_else(|| CrmError::no("contact", &contact.to_string()))?;
    }
    if let Some(id) = organization {
        tx.get::<Organization>(id)?.ok_or_else(|| CrmError::no("organization", &id.to_string()))?;
    }
    if contact.is_none() && organization.is_none() {
        return Err(CrmError::field("contact", "Choose a contact or an organization."));
    }
    let now = tx.now();
    let talk = Talk {
        id: tx.new_id(),
        contact,
        organization,
        kind: TalkKind::Note,
        way: None,
        subject: String::new(),
        body: String::new(),
        occurred_at: now,
        next_action: String::new(),
        next_on: None,
        next_done_at: None,
        by: tx.by(),
        created_at: now,
        updated_at: now,
    };
    let talk = checked(with(talk, patch, now))?;
    tx.put(&talk)?;
    tx.emit(TALK.event(&talk.id, RowAct::Created));
    Ok(talk)
}

/// Changes an interaction.
///
/// # Errors
/// When it is deleted or the input is invalid.
pub fn change_talk(tx: &mut WriteTx<'_>, id: TalkId, patch: TalkPatch) -> Result<Talk, CrmError> {
    let old: Talk = tx.get(id)?.ok_or_else(|| CrmError::no("entry", &id.to_string()))?;
    let now = tx.now();
    let mut talk = checked(with(old.clone(), patch, now))?;
    if talk == old {
        return Ok(old);
    }
    talk.updated_at = now;
    tx.put(&talk)?;
    tx.emit(TALK.changed(&old, &talk));
    Ok(talk)
}

/// Sets the day of a contact's follow-up: moves the earliest open one there and completes the others; without one, adds
/// a note with a follow-up. `None` completes all of them.
///
/// # Errors
/// When the contact does not exist.
pub fn follow_up(
    tx: &mut WriteTx<'_>,
    contact: ContactId,
    day: Option<Date>,
) -> Result<(), CrmError> {
    let mut open: Vec<Talk> = tx.scan(BY_CONTACT, &Range::prefix(KeyBuf::of(&contact)))?;
    open.retain(Talk::is_due);
    open.sort_by_key(|talk| talk.next_on);
    let mut open = open.into_iter();
    if let Some(day) = day {
        match open.next() {
            Some(first) => {
                let patch = TalkPatch { next_on: Some(Some(day)), ..TalkPatch::default() };
                change_talk(tx, first.id, patch)?;
            }
            None => {
                let patch = TalkPatch {
                    next_action: Some("Follow up".to_owned()),
                    next_on: Some(Some(day)),
                    ..TalkPatch::default()
                };
                log(tx, (Some(contact), None), patch)?;
            }
        }
    }
    for talk in open {
        change_talk(tx, talk.id, TalkPatch { next_done: Some(true), ..TalkPatch::default() })?;
    }
    Ok(())
}

/// Records an interaction with a contact, an organization, or both.
///
/// # Errors
/// When neither is given, one does not exist, or the input is invalid.
pub fn remove_talk(tx: &mut WriteTx<'_>, id: TalkId) -> Result<Talk, CrmError> {
    let old: Talk = tx.get(id)?.ok_or_else(|| CrmError::no("entry", &id.to_string()))?;
    tx.delete::<Talk>(id)?;
    tx.emit(TALK.event(&id, RowAct::Deleted));
    Ok(old)
}

fn with(talk: Talk, patch: TalkPatch, now: Timestamp) -> Talk {
    let next_done_at = match patch.next_done {
        Some(true) => talk.next_done_at.or(Some(now)),
        Some(false) => None,
        None => talk.next_done_at,
    };
    Talk {
        kind: patch.kind.unwrap_or(talk.kind),
        way: patch.way.unwrap_or(talk.way),
        subject: patch.subject.map_or(talk.subject, |text| one_line(&text)),
        body: patch.body.map_or(talk.body, |text| text.replace("\r\n", "\n").trim().to_owned()),
        occurred_at: patch.occurred_at.unwrap_or(talk.occurred_at),
        next_action: patch.next_action.map_or(talk.next_action, |text| one_line(&text)),
        next_on: patch.next_on.unwrap_or(talk.next_on),
        next_done_at,
        ..talk
    }
}

fn checked(talk: Talk) -> Result<Talk, CrmError> {
    let mut wrong = Vec::new();
    if talk.subject.is_empty() && talk.body.is_empty() && talk.next_action.is_empty() {
        wrong.push(FieldError::new("body", "Enter notes or a next step."));
    }
    for (field, text) in [("subject", &talk.subject), ("next_action", &talk.next_action)] {
        if MAX_LINE < text.chars().count() {
            wrong.push(FieldError::new(field, format!("Use at most {MAX_LINE} characters.")));
        }
    }
    if MAX_BODY < talk.body.len() {
        wrong.push(FieldError::new(
            "body",
            format!(
                "Use at most {} KiB of \
            text.",
                MAX_BODY / 1024
            ),
        ));
    }
    if !talk.next_action.is_empty() && talk.next_on.is_none() {
        wrong.push(FieldError::new("next_on", "Enter a follow-up date."));
    }
    if wrong.is_empty() { Ok(talk) } else { Err(CrmError::Invalid(wrong)) }
}
