//! Writes of skill packages: a version that was fetched waits until a person approves its hash.

use kernel::{Error, ProblemKind};
use skill::Package;
use store::{BlobId, Range, ReadExt as _, WriteTx};

use super::lists::SKILL_LIST;
use super::model::{Needs, Skill, SkillId, SkillList, SkillVersion, StoredFinding};
use super::noun::SKILL;
use super::queries;

/// Most packages of a workspace.
const MAX_SKILLS: usize = 500;
/// Most skills that agents have proposed and nobody has decided about.
const MAX_PROPOSALS: usize = 50;
/// Most findings of a version that are stored.
const MAX_FINDINGS: usize = 100;
/// Most entries of other lists.
const MAX_LINES: usize = 50;
/// Longest such entry in bytes.
const MAX_LINE: usize = 200;

/// A package whose files are stored.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub name: String,
    pub description: String,
    pub hash: String,
    /// Where it was fetched from; empty if it was uploaded or an agent proposes it.
    pub source: String,
    files: BlobId,
    file_count: u32,
    size: u64,
    findings: Vec<StoredFinding>,
    more_findings: u32,
    hosts: Vec<String>,
    allowed_tools: Vec<String>,
    needs: Needs,
    licence: String,
    commit: String,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn lines(all: &[String]) -> Vec<String> {
    let line =
        |text: &String| kernel::text::cut(&kernel::text::one_line(text), MAX_LINE).to_owned();
    all.iter().take(MAX_LINES).map(line).collect()
}

impl Fetched {
    /// A package with its stored files and the commit of a git source. Scans the files.
    pub(super) fn of(package: &Package, files: BlobId, commit: Option<String>) -> Self {
        let found = skill::findings(package);
        let finding = |one: &skill::Finding| StoredFinding {
            file: kernel::text::cut(&one.file, MAX_LINE).to_owned(),
            line: number(one.line),
            kind: one.kind.word().to_owned(),
            excerpt: kernel::text::cut(&one.excerpt, MAX_LINE).to_owned(),
        };
        // The most serious come first, so that the limit does not drop them.
        let mut sorted: Vec<&skill::Finding> = found.iter().collect();
        sorted.sort_by_key(|one| std::cmp::Reverse(one.kind.level()));
        let needs = &package.requires;
        Self {
            name: package.name.clone(),
            description: package.description.clone(),
            hash: hex::encode(package.hash),
            source: String::new(),
            files,
            file_count: number(package.files.len()),
            size: package.files.iter().map(|file| file.bytes.len() as u64).sum(),
            findings: sorted.into_iter().take(MAX_FINDINGS).map(finding).collect(),
            more_findings: number(found.len().saturating_sub(MAX_FINDINGS)),
            hosts: lines(&skill::hosts(package)),
            allowed_tools: lines(&package.allowed_tools),
            needs: Needs {
                bins: lines(&needs.bins),
                any_bins: lines(&needs.any_bins),
                env: lines(&needs.env),
                config: lines(&needs.config),
                os: lines(&needs.os),
                is_always: package.is_always,
            },
            licence: package.licence.as_deref().map(kernel::text::one_line).unwrap_or_default(),
            commit: commit.unwrap_or_default(),
        }
    }
}

fn conflict(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ProblemKind::Conflict, code, message)
}

fn nothing_waits() -> Error {
    conflict("nothing_waits", "no version of this skill waits for approval")
}

fn change(tx: &mut WriteTx<'_>, old: &Skill, mut new: Skill) -> Result<Skill, Error> {
    if new == *old {
        return Ok(new);
    }
    new.updated_at = tx.now();
    tx.put(&new)?;
    tx.emit(SKILL.changed(old, &new));
    Ok(new)
}

/// Where a new package comes from, and for whom it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub source: String,
    pub agents: Vec<String>,
    /// Slug of the agent that proposes it.
    pub proposed_by: String,
}

/// Adds a package. It waits for a person.
///
/// # Errors
/// If its name is taken, or there are too many.
pub(super) fn install(
    tx: &mut WriteTx<'_>,
    fetched: Fetched,
    origin: Origin,
) -> Result<Skill, Error> {
    let all = queries::all(tx)?;
    if all.iter().any(|skill| skill.name == fetched.name) {
        let message = format!(
            "there is already a skill package “{}”; update it, or remove it first",
            fetched.name
        );
        return Err(conflict("skill_exists", message));
    }
    if MAX_SKILLS <= all.len() {
        return Err(conflict("too_many_skills", "there are too many skills; remove some first"));
    }
    let now = tx.now();
    let skill = Skill {
        id: tx.new_id(),
        name: fetched.name.clone(),
        description: fetched.description.clone(),
        source: origin.source,
        agents: origin.agents,
        active: None,
        active_hash: String::new(),
        waiting: None,
        waiting_hash: String::new(),
        newest: 0,
        is_blocked: false,
        proposed_by: origin.proposed_by,
        by: tx.by(),
        created_at: now,
        updated_at: now,
    };
    tx.put(&skill)?;
    tx.emit(SKILL.event(&skill.id, kernel::RowAct::Created));
    receive(tx, &skill, fetched)
}

/// Refuses a proposal of an agent while too many wait.
pub(super) fn check_proposals(read: &dyn store::Read) -> Result<(), Error> {
    let is_open = |skill: &Skill| skill.waiting.is_some() && !skill.proposed_by.is_empty();
    let open = queries::all(read)?.into_iter().filter(is_open).count();
    match open < MAX_PROPOSALS {
        true => Ok(()),
        false => {
            let message =
                format!("{MAX_PROPOSALS} proposed skills wait for a person; go on without it");
            Err(conflict("too_many_proposals", message))
        }
    }
}

/// Puts a version of a package beside the active one. An earlier one that waits is replaced.
///
/// # Errors
/// If it is another package.
pub(super) fn receive(
    tx: &mut WriteTx<'_>,
    skill: &Skill,
    fetched: Fetched,
) -> Result<Skill, Error> {
    if fetched.name != skill.name {
        let message =
            format!("the source now has the skill “{}”, not “{}”", fetched.name, skill.name);
        return Err(conflict("skill_renamed", message));
    }
    if fetched.hash == skill.waiting_hash {
        return Ok(skill.clone());
    }
    let mut new = skill.clone();
    drop_waiting(tx, &mut new)?;
    if fetched.hash != skill.active_hash {
        let version = version(tx, skill, fetched);
        tx.put(&version)?;
        new.newest = version.number;
        new.waiting = Some(version.id);
        new.waiting_hash = version.hash;
        if new.active.is_none() {
            new.description = version.description;
        }
    }
    change(tx, skill, new)
}

fn version(tx: &mut WriteTx<'_>, skill: &Skill, fetched: Fetched) -> SkillVersion {
    SkillVersion {
        id: tx.new_id(),
        skill: skill.id,
        number: skill.newest + 1,
        hash: fetched.hash,
        description: fetched.description,
        files: fetched.files,
        file_count: fetched.file_count,
        size: fetched.size,
        findings: fetched.findings,
        more_findings: fetched.more_findings,
        hosts: fetched.hosts,
        allowed_tools: fetched.allowed_tools,
        needs: fetched.needs,
        licence: fetched.licence,
        commit: fetched.commit,
        source: fetched.source,
        by: tx.by(),
        created_at: tx.now(),
        approved_by: None,
        approved_at: None,
    }
}

fn drop_waiting(tx: &mut WriteTx<'_>, skill: &mut Skill) -> Result<(), Error> {
    if let Some(id) = skill.waiting.take() {
        tx.delete::<SkillVersion>(id)?;
    }
    skill.waiting_hash = String::new();
    Ok(())
}

fn activate(tx: &mut WriteTx<'_>, skill: &Skill, version: &SkillVersion) -> Result<Skill, Error> {
    let mut new = skill.clone();
    if new.waiting == Some(version.id) {
        new.waiting = None;
        new.waiting_hash = String::new();
    }
    new.active = Some(version.id);
    new.active_hash.clone_from(&version.hash);
    new.description.clone_from(&version.description);
    change(tx, skill, new)
}

/// The waiting version with this hash.
///
/// # Errors
/// If none waits, or another one.
pub(super) fn to_approve(
    read: &dyn store::Read,
    skill: &Skill,
    hash: &str,
) -> Result<SkillVersion, Error> {
    let Some(version) = queries::waiting(read, skill)? else {
        return Err(nothing_waits());
    };
    match version.hash == hash.trim().to_lowercase() {
        true => Ok(version),
        false => {
            let message = format!(
                "another version waits, with the hash {}; look at it before you approve it",
                version.hash
            );
            Err(conflict("skill_changed", message))
        }
    }
}

/// Makes the waiting version the active one, if it has this hash.
///
/// # Errors
/// As for [`to_approve`].
pub(super) fn approve(tx: &mut WriteTx<'_>, id: SkillId, hash: &str) -> Result<Skill, Error> {
    let skill = queries::skill(tx, id)?;
    let version = to_approve(tx, &skill, hash)?;
    let (by, at) = (Some(tx.by()), Some(tx.now()));
    tx.put(&SkillVersion { approved_by: by, approved_at: at, ..version.clone() })?;
    activate(tx, &skill, &version)
}

/// Removes the waiting version; with it the package, if no version is active.
///
/// # Errors
/// If none waits.
pub(super) fn reject(tx: &mut WriteTx<'_>, id: SkillId) -> Result<(), Error> {
    let skill = queries::skill(tx, id)?;
    if skill.waiting.is_none() {
        return Err(nothing_waits());
    }
    if skill.active.is_none() {
        forget(tx, &skill.name)?;
        tx.delete::<Skill>(id)?;
        tx.emit(SKILL.event(&id, kernel::RowAct::Deleted));
        return Ok(());
    }
    let mut new = skill.clone();
    drop_waiting(tx, &mut new)?;
    change(tx, &skill, new)?;
    Ok(())
}

/// An approved version to return to: the one with this number, or the newest before the active one.
///
/// # Errors
/// If there is none.
pub(super) fn earlier(
    read: &dyn store::Read,
    skill: &Skill,
    number: Option<u32>,
) -> Result<SkillVersion, Error> {
    let all = queries::versions(read, skill.id)?;
    let now = all.iter().find(|version| Some(version.id) == skill.active);
    let now = now.map_or(u32::MAX, |version| version.number);
    let fits = |version: &SkillVersion| match number {
        Some(number) => version.number == number,
        None => version.number < now,
    };
    let is_approved = |version: &SkillVersion| version.approved_at.is_some() && fits(version);
    all.into_iter().find(is_approved).ok_or_else(|| match number {
        Some(number) => Error::field("number", format!("Version {number} was never approved.")),
        None => conflict("no_earlier_version", "there is no earlier approved version"),
    })
}

/// Returns to an approved version.
///
/// # Errors
/// As for [`earlier`].
pub(super) fn roll_back(
    tx: &mut WriteTx<'_>,
    id: SkillId,
    number: Option<u32>,
) -> Result<Skill, Error> {
    let skill = queries::skill(tx, id)?;
    let version = earlier(tx, &skill, number)?;
    activate(tx, &skill, &version)
}

/// Takes a package from all agents, or gives it back.
///
/// # Errors
/// If it was removed.
pub(super) fn block(tx: &mut WriteTx<'_>, id: SkillId, is_blocked: bool) -> Result<Skill, Error> {
    let skill = queries::skill(tx, id)?;
    change(tx, &skill, Skill { is_blocked, ..skill.clone() })
}

/// Removes a package from the lists of all agents.
pub(super) fn forget(tx: &mut WriteTx<'_>, name: &str) -> Result<(), Error> {
    let all: Vec<SkillList> = tx.list(&Range::all())?;
    for list in all.iter().filter(|list| list.skills.iter().any(|one| one == name)) {
        let mut new = list.clone();
        new.skills.retain(|one| one != name);
        new.updated_at = tx.now();
        tx.put(&new)?;
        tx.emit(SKILL_LIST.changed(list, &new));
    }
    Ok(())
}
