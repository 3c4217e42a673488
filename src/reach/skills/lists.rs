//! Lists of agents: an agent with a list has only the packages in it. A list decides what is shown, not what is allowed.

use entity::{Area, Entity, Field, Fields, InputKind, Stored, Values, text_of};
use kernel::{Can, Error, Timestamp};
use kit::{Noun, Page, Row};
use serde_json::Value;
use store::WriteTx;

use super::model::{SKILLS, SkillList};
use super::noun::TABS;
use super::queries;
use crate::nouns::slugs;

pub static SKILL_LIST: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::entered("agent", "agent", InputKind::Record("agent")).required().once(),
        Field::lines("skills", "skills").hidden().about("names of packages; none if empty"),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    title: |list| text_of(list, "agent").to_owned(),
    path: |_| "settings/skill-lists".to_owned(),
    undo: None,
    triggers: Some("Skills"),
    missing: "skill_list_not_found",
    ..Entity::stored::<SkillList>("skill-list", "list of skills", "lists of skills")
};

pub static SKILL_LISTS: Noun = Noun {
    write: Can::Admin,
    param: "list",
    page: Some(Page {
        title: "Skills",
        row,
        live: || vec![SKILLS.name],
        delete: "The agent has all packages again.",
        tabs: TABS,
        detail: kit::no_detail,
        others: kit::no_others,
    }),
    ..Noun::of(
        &SKILL_LIST,
        "skill-lists",
        "Agents that have only some packages. All others have every package",
    )
};

fn row(record: &Fields) -> Row {
    let skills = record.get("skills").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = skills.filter_map(Value::as_str).collect();
    let about = if names.is_empty() { "No packages".to_owned() } else { names.join(", ") };
    Row { name: text_of(record, "agent").to_owned(), about, ..Row::default() }
}

impl Stored for SkillList {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let now = tx.now();
        Self {
            id: tx.new_id(),
            agent: String::new(),
            skills: Vec::new(),
            created_at: now,
            updated_at: now,
        }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        if old.is_none() {
            let found = slugs(tx, std::slice::from_ref(&new.agent))
                .map_err(|error| Error::field("agent", web::form::sentence(&error.to_string())))?;
            new.agent = found.into_iter().next().unwrap_or_default();
            if queries::list_of(tx, &new.agent)?.is_some() {
                return Err(Error::field("agent", "This agent has a list. Change that one."));
            }
        }
        if given.contains_key("skills") {
            new.skills.sort();
            new.skills.dedup();
            for name in &new.skills {
                if queries::called(tx, name)?.is_none() {
                    let name = kernel::text::ellipsis(name, 60);
                    let message = format!("There is no skill package “{name}”.");
                    return Err(Error::field("skills", message));
                }
            }
        }
        Ok(())
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }
}
