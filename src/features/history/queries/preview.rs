//! Preview of an undo, in words.

use std::collections::BTreeMap;

use crate::runs::model::SESSIONS;
use store::history::{self, Image};
use store::undo::{FieldWhy, Kept, KeptField, Plan, Refusal, Row, Touch, Why};
use store::{Class, Read, Root, Schema, StoreError};
use web::form::sentence;
use web::format;

use super::fields::{self, FieldDiff, Speaker};
use super::guard::Undoer;
use super::names::{Word, noun};
use super::outlook::Outlook;
use super::scope::is_told;
use super::versions::fields_of;

/// How a record is reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Created before, now deleted.
    Away,
    /// Deleted before, now restored.
    Back,
    /// Changed before, now changed back.
    Fields,
}

impl Way {
    /// API word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "delete",
            Self::Back => "insert",
            Self::Fields => "update",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Away => "will be deleted",
            Self::Back => "will be restored",
            Self::Fields => "will be reverted",
        }
    }
}

/// A record that is reverted.
pub struct Going {
    pub record: Root,
    pub title: Word,
    /// Noun of the record.
    pub noun: &'static str,
    pub way: Way,
    /// Fields, from current to restored value.
    pub fields: Vec<FieldDiff>,
    pub kept: Vec<StayingField>,
}

pub struct StayingField {
    /// JSON name.
    pub name: String,
    pub label: String,
    /// Stable reason code.
    pub code: &'static str,
    /// Reason as a sentence.
    pub why: String,
    /// Author of a later change, if that is the reason.
    pub by: Option<Touch>,
}

/// A record that is not reverted.
pub struct Staying {
    pub record: Root,
    pub title: Word,
    /// Noun of the record.
    pub noun: &'static str,
    /// Stable reason code.
    pub code: &'static str,
    /// Reason as a sentence.
    pub why: String,
    /// Author of a later change, if that is the reason.
    pub by: Option<Touch>,
    /// Fields that others changed since.
    pub fields: Vec<StayingField>,
}

/// Rows of a class that undo never touches.
pub struct StayingKind {
    pub table: &'static str,
    /// Word of the class.
    pub class: &'static str,
    pub count: usize,
    /// Such as "12 steps of runs".
    pub words: String,
}

/// Open work or files that are kept because the undoer may not take them back.
pub struct StayingWork {
    /// Stable reason code.
    pub code: &'static str,
    /// Such as "2 messages".
    pub words: String,
    /// Reason as a sentence.
    pub why: String,
}

pub struct PlanView {
    /// Records that are reverted.
    pub going: Vec<Going>,
    /// Number of further reverted records.
    pub going_more: usize,
    pub staying: Vec<Staying>,
    /// Number of further kept records.
    pub staying_more: usize,
    /// Rows of classes that undo never touches.
    pub kinds: Vec<StayingKind>,
    /// Work and files that are kept.
    pub work: Vec<StayingWork>,
}

/// Describes a plan, with a limited number of records per kind. Records that the viewer may not see are only counted.
pub fn view(
    read: &dyn Read,
    schema: &Schema,
    speaker: &Speaker<'_>,
    (outlook, by): (&Outlook, &Undoer),
    limit: usize,
) -> Result<PlanView, StoreError> {
    let teller = Teller { read, schema, speaker };
    let plan = &outlook.plan;
    let going = plan.rows.iter().take(limit).map(|row| teller.going(row));
    let (eye, mut staying) = (by.eye(read), Vec::new());
    for kept in &plan.kept {
        if limit <= staying.len() {
            break;
        }
        if eye.sees_record(schema, &kept.record)? {
            staying.push(teller.staying(kept)?);
        }
    }
    Ok(PlanView {
        going: going.collect::<Result<_, _>>()?,
        going_more: plan.rows.len().saturating_sub(limit),
        staying_more: plan.kept.len() - staying.len(),
        staying,
        kinds: kinds(schema, plan),
        work: held_work(schema, outlook),
    })
}

/// What is kept of a record that should be reverted.
pub struct Keeps {
    pub record: Root,
    /// Reason if the whole record is kept.
    pub whole: Option<String>,
    /// Kept fields of a record that is reverted otherwise.
    pub fields: Vec<StayingField>,
}

/// Everything that a plan keeps: records, and single fields of reverted records.
pub fn what_stays(
    read: &dyn Read,
    schema: &Schema,
    speaker: &Speaker<'_>,
    outlook: &Outlook,
) -> Result<Vec<Keeps>, StoreError> {
    let teller = Teller { read, schema, speaker };
    let mut all = Vec::new();
    for kept in &outlook.plan.kept {
        let why = teller.staying(kept)?.why;
        all.push(Keeps { record: kept.record.clone(), whole: Some(why), fields: Vec::new() });
    }
    for row in &outlook.plan.rows {
        let fields = teller.fields(row.record.table, &row.kept);
        if !fields.is_empty() {
            all.push(Keeps { record: row.record.clone(), whole: None, fields });
        }
    }
    Ok(all)
}

fn held_work(schema: &Schema, outlook: &Outlook) -> Vec<StayingWork> {
    let mut groups: BTreeMap<(u16, &'static str), (usize, &str)> = BTreeMap::new();
    for (record, refusal) in &outlook.plan.held {
        let group = groups.entry((record.table, refusal.code)).or_insert((0, &refusal.why));
        group.0 += 1;
    }
    let held = groups.into_iter().map(|((table, code), (count, why))| {
        let (one, many) = noun(table, schema.table(table).map_or("", |info| info.name));
        StayingWork { code, words: counted(count, one, many), why: why.to_owned() }
    });
    let files = outlook.scope.held_files.len();
    let files = (0 < files).then(|| StayingWork {
        code: "needs_agents",
        words: counted(files, "agent file", "agent files"),
        why: "changing agent files needs the permission to manage agents".to_owned(),
    });
    held.chain(files).collect()
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        n => format!("{} {many}", format::grouped(n as u64)),
    }
}

fn kinds(schema: &Schema, plan: &Plan) -> Vec<StayingKind> {
    let shown = plan.stays.iter().filter(|stays| is_told(stays.table));
    let shown = shown.filter(|stays| stays.table != SESSIONS.number);
    shown
        .map(|stays| {
            let table = schema.table(stays.table).map_or("", |info| info.name);
            let (one, many) = noun(stays.table, table);
            let words = counted(stays.count, one, many);
            let class = match stays.class {
                Class::Log => "log",
                Class::Sealed => "sealed",
                _ => "work",
            };
            StayingKind { table, class, count: stays.count, words }
        })
        .collect()
}

struct Teller<'a> {
    read: &'a dyn Read,
    schema: &'a Schema,
    speaker: &'a Speaker<'a>,
}

impl Teller<'_> {
    fn noun(&self, table: u16) -> &'static str {
        self.schema.table(table).map_or("record", |info| noun(table, info.name).0)
    }

    fn going(&self, row: &Row) -> Result<Going, StoreError> {
        let table = row.record.table;
        let now = fields_of(self.schema, table, row.now.as_deref());
        let to = fields_of(self.schema, table, row.to.as_deref());
        let way = match (&row.now, &row.to) {
            (_, None) => Way::Away,
            (None, _) => Way::Back,
            _ => Way::Fields,
        };
        let title = match now.as_ref().or(to.as_ref()) {
            Some(fields) => self.speaker.names.title(table, fields)?,
            None => Word::default(),
        };
        let fields = self.speaker.diff(table, now.as_ref(), to.as_ref())?;
        let kept = self.fields(table, &row.kept);
        Ok(Going { record: row.record.clone(), title, noun: self.noun(table), way, fields, kept })
    }

    fn fields(&self, table: u16, kept: &[KeptField]) -> Vec<StayingField> {
        let shown = kept.iter().filter(|field| !fields::is_quiet(table, &field.name));
        shown
            .map(|field| {
                let (name, label) = (field.name.clone(), fields::label_in(table, &field.name));
                match &field.why {
                    FieldWhy::Changed(by) => {
                        let why = format!("{} changed it", self.who(*by));
                        StayingField { name, label, code: "changed", why, by: Some(*by) }
                    }
                    FieldWhy::Refused(Refusal { code, why }) => {
                        StayingField { name, label, code, why: why.clone(), by: None }
                    }
                }
            })
            .collect()
    }

    fn who(&self, by: Touch) -> String {
        self.speaker.names.people.actor(by.actor).name
    }

    /// Title of a record that may be deleted.
    fn title(&self, record: &Root, seq: Option<u64>) -> Result<Word, StoreError> {
        let row = self.read.raw_get(record.table, &record.key)?;
        let mut fields = fields_of(self.schema, record.table, row.as_deref());
        if let (None, Some(seq)) = (&fields, seq) {
            let before = history::before(self.read, self.schema, record, seq)?;
            let bytes = before.as_ref().and_then(Image::bytes);
            fields = fields_of(self.schema, record.table, bytes);
        }
        match fields {
            Some(fields) => self.speaker.names.title(record.table, &fields),
            None => Ok(Word::plain(format!("A {}", self.noun(record.table)))),
        }
    }

    fn staying(&self, kept: &Kept) -> Result<Staying, StoreError> {
        let (code, why, by) = match &kept.why {
            Why::Changed(by) => {
                let why = match kept.fields.is_empty() {
                    true => format!("{} has changed it since.", self.who(*by)),
                    false => "Everything that could be undone was changed since.".to_owned(),
                };
                ("changed", why, Some(*by))
            }
            Why::Deleted(by) => {
                ("deleted", format!("{} has removed it since.", self.who(*by)), Some(*by))
            }
            other => {
                let (code, why) = self.reason(other)?;
                (code, why, None)
            }
        };
        Ok(Staying {
            record: kept.record.clone(),
            title: self.title(&kept.record, by.map(|by| by.seq))?,
            noun: self.noun(kept.record.table),
            code,
            why,
            by,
            fields: self.fields(kept.record.table, &kept.fields),
        })
    }

    /// Code and sentence of a reason without a person.
    fn reason(&self, why: &Why) -> Result<(&'static str, String), StoreError> {
        Ok(match why {
            Why::Gone => (
                "gone",
                "The previous version is no longer stored. It expired or was deleted on purpose."
                    .to_owned(),
            ),
            Why::TooOften => ("too_often", "It has changed too often since.".to_owned()),
            Why::Unmergeable => (
                "unmergeable",
                "Others changed it since, and their changes can’t be separated.".to_owned(),
            ),
            Why::Taken { .. } => (
                "taken",
                "Its name or number is now used by another record."
                    .to_owned(),
            ),
            Why::MissingTarget { table } => {
                let what = self.noun(*table);
                ("missing_target", format!("It belongs to a {what} that no longer exists."))
            }
            Why::Referenced { by } => {
                let title = self.title(by, None)?;
                ("referenced", format!("A record that stays depends on it: {}.", title.text))
            }
            Why::Cycle => ("cycle", "It would become its own parent.".to_owned()),
            Why::NotAllowed => (
                "not_allowed",
                "You don’t have permission to undo this, or it can only be changed on its own page."
                    .to_owned(),
            ),
            Why::Refused(refusal) => (refusal.code, sentence(&refusal.why)),
            Why::Changed(_) | Why::Deleted(_) => ("changed", String::new()),
        })
    }
}
