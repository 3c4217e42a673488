//! Parts of a settings page that are made from records: choices of forms, and what is shown of one record.

use entity::Fields;
use features::deliverables::queries::diff::{self, Line};
use features::tasks::queries::people::People;
use kernel::Assignee;
use store::schema::id_text;
use store::{Read, StoreError};
use web::cx::Cx;
use web::parts::Choice;

use crate::records::{self, PageRequest, Reader};
use crate::{Noun, Section, SectionBody, registry};

/// A [`crate::Section`].
pub(crate) struct Detail {
    pub title: String,
    pub text: String,
    pub is_code: bool,
    /// The differences instead of the text.
    pub changes: Vec<Line>,
}

pub(crate) fn detail(
    noun: &Noun,
    ws: &app::Ws,
    read: &dyn Read,
    record: &Fields,
) -> Result<Vec<Detail>, StoreError> {
    let Some(page) = noun.page.as_ref() else { return Ok(Vec::new()) };
    let drawn = |section: Section| {
        let (text, is_code, changes) = match section.body {
            SectionBody::Text(text) => (text, false, Vec::new()),
            SectionBody::Code(text) => (text, true, Vec::new()),
            SectionBody::Changes(old, new) => (String::new(), false, diff::changes(&old, &new)),
            SectionBody::Lines(lines) => (String::new(), false, lines),
        };
        Detail { title: section.title, text, is_code, changes }
    };
    Ok((page.detail)(ws, read, record)?.into_iter().map(drawn).collect())
}

pub(crate) fn choices_of_people(read: &dyn Read, now: &str, cx: &Cx) -> Vec<Choice> {
    // ok: unreadable people are not offered; submitting the form reports the error.
    let Ok(people) = People::read(read) else { return Vec::new() };
    // ok: an unknown name selects nobody; submitting the form reports the error.
    let who = people.find(now, Assignee::Person(cx.who.account)).ok().flatten();
    people.choices(who, cx.who.account)
}

/// The records of a noun, except the edited one.
pub(crate) fn choices_of_records(
    word: &str,
    now: &str,
    read: &dyn Read,
    cx: &Cx,
    but: Option<&[u8]>,
) -> Vec<Choice> {
    if word == "agent" {
        return choices_of_agents(read, now);
    }
    let Some(noun) = registry::all().find(|noun| noun.entity.word == word) else {
        return Vec::new();
    };
    // ok: unreadable records are not offered; submitting the form reports the error.
    let Ok(all) =
        records::list(noun, read, Reader::person(cx.who.account), &PageRequest::default())
    else {
        return Vec::new();
    };
    let others = all.items.iter().filter(|one| Some(one.key.as_slice()) != but);
    let choice = |one: &records::Shown| {
        let id = id_text(&one.key);
        let is_now = id == now;
        Choice::new(id, (noun.entity.title)(&one.record), is_now)
    };
    others.map(choice).collect()
}

fn choices_of_agents(read: &dyn Read, now: &str) -> Vec<Choice> {
    // ok: unreadable agents are not offered; submitting the form reports the error.
    let all = features::agents::queries::all(read).unwrap_or_default();
    let choice = |agent: features::agents::model::Agent| {
        let is_now = agent.slug == now;
        Choice::new(agent.slug, agent.name, is_now)
    };
    all.into_iter().filter(|agent| agent.archived_at.is_none()).map(choice).collect()
}
