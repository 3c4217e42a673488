//! Talks: written down, changed, removed; follow-ups done and put off.

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

/// The longest subject and the longest next step, in characters.
const MAX_LINE: usize = 300;
/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// What a talk is to be; what is not given stays, or is the usual for a new one.
#[derive(Clone, Debug, Default)]
pub struct TalkPatch {
    pub kind: Option<TalkKind>,
    /// Who spoke to whom.
    pub way: Option<Option<Way>>,
    /// What it was about.
    pub subject: Option<String>,
    /// What was said.
    pub body: Option<String>,
    pub occurred_at: Option<Timestamp>,
    /// What is to follow.
    pub next_action: Option<String>,
    /// By which day.
    pub next_on: Option<Option<Date>>,
    /// Whether that is done.
    pub next_done: Option<bool>,
}

/// Writes a talk down. One with a contact belongs to the contact's organization, too, if it names that.
///
/// # Errors
/// When neither contact nor organization is there, or the input is wrong.
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
        return Err(CrmError::field("contact", "Name a contact or an organization."));
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

/// Changes a talk.
///
/// # Errors
/// When it is gone or the input is wrong.
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

/// Says on which day to follow a contact up: the open follow-up that comes first is put there, and the others are done;
/// without one a note asks for it. None calls all of them done.
///
/// # Errors
/// When the contact is not there.
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

/// Removes a talk.
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
        wrong.push(FieldError::new("body", "Write what was said, or what is to follow."));
    }
    for (field, text) in [("subject", &talk.subject), ("next_action", &talk.next_action)] {
        if MAX_LINE < text.chars().count() {
            wrong.push(FieldError::new(field, format!("At most {MAX_LINE} characters.")));
        }
    }
    if MAX_BODY < talk.body.len() {
        wrong.push(FieldError::new("body", format!("At most {} KiB of text.", MAX_BODY / 1024)));
    }
    if !talk.next_action.is_empty() && talk.next_on.is_none() {
        wrong.push(FieldError::new("next_on", "Say by which day it is to be done."));
    }
    if wrong.is_empty() { Ok(talk) } else { Err(CrmError::Invalid(wrong)) }
}
