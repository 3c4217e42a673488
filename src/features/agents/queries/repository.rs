//! Integrity check and repair of the repository with agents' file histories, for `hq doctor files`, Health, each
//! start and the restore drill. Blocking.

use std::io;
use std::path::Path;

use app::Ws;
use backup::History;
use git::check::{self, Checked, Depth};
use git::mend::{self, Filled, Known};
use git::{AgentsRepo, Author, Branch, CommitId, Entry, GitError};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use tool::leaks;

/// Result of a check or repair.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    pub workspace: String,
    pub branches: usize,
    /// Number of objects whose hashes were verified.
    pub objects: usize,
    /// Faults as sentences.
    pub faults: Vec<String>,
    /// Repairs and losses as sentences.
    pub repaired: Vec<String>,
}

/// Checks the repository. Opens nothing if no agent has files.
#[must_use]
pub fn inspect(ws: &Ws, depth: Depth) -> Found {
    match checked(ws, depth) {
        Ok(checked) => found(ws, &checked),
        Err(error) => {
            let (workspace, faults) = (ws.slug.clone(), vec![error.to_string()]);
            Found { workspace, faults, ..Found::default() }
        }
    }
}

fn found(ws: &Ws, checked: &Checked) -> Found {
    Found {
        workspace: ws.slug.clone(),
        branches: checked.branches,
        objects: checked.objects,
        faults: checked.faults.iter().map(ToString::to_string).collect(),
        repaired: Vec::new(),
    }
}

/// Faults for Health: from a check of the newest versions, repeated only after changes, and from the last full check.
#[must_use]
pub fn standing(ws: &Ws) -> Vec<String> {
    let found = agents(ws).and_then(|agents| match agents.is_empty() {
        true => Ok(Checked::default()),
        false => Ok(ws.repo()?.standing(&agents, ws.app.clock.now())),
    });
    match found {
        Ok(checked) => checked.faults.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn checked(ws: &Ws, depth: Depth) -> Result<Checked, GitError> {
    let agents = agents(ws)?;
    match agents.is_empty() {
        true => Ok(Checked::default()),
        false => Ok(ws.repo()?.check(&agents, depth)),
    }
}

fn agents(ws: &Ws) -> Result<Vec<String>, GitError> {
    let folder = ws.folder.join("agents");
    check::agents_in(&folder).map_err(|source: io::Error| GitError::Disk { path: folder, source })
}

/// A branch under repair.
struct Broken {
    branch: Branch,
    /// The agent of an agent branch.
    slug: Option<String>,
    tip: Option<CommitId>,
    /// Whether no ref leads to the branch any more.
    is_nameless: bool,
    filled: Filled,
    /// Head in a backup, used if all later versions are lost.
    other: Option<CommitId>,
    /// Whether a backup was searched.
    is_asked: bool,
    /// Sources of the repair, as text.
    from: Vec<String>,
}

/// Repairs the repository. Missing or damaged objects come from backups, newest first. If no backup has them, a
/// branch continues from its last complete version, or restarts, with the files in the agent's folder. Reports what
/// is lost permanently.
pub fn repair(ws: &Ws, copies: &mut dyn Iterator<Item = History>) -> Result<Found, GitError> {
    let agents = agents(ws)?;
    if agents.is_empty() {
        return Ok(inspect(ws, Depth::Objects));
    }
    let now = ws.app.clock.now();
    let aside = ws.folder.join(format!("agents.git.damaged-{}", now.as_second()));
    let mut repaired = Vec::new();
    let repo = opened(ws, &aside, &mut repaired)?;
    repaired.extend(repo.put_packs_aside(&aside.join("pack"))?);
    let checked = repo.check(&agents, Depth::Objects);
    let mut known = Known::default();
    let mut broken: Vec<Broken> = Vec::new();
    for branch in checked.faults.iter().filter_map(|fault| fault.branch.clone()) {
        broken.push(Broken::of(repo, branch, &mut known));
    }
    for History { backup, taken_at, repo: copy } in copies {
        if !broken.iter().any(Broken::needs_help) {
            break;
        }
        copy.drop_damaged_packs(&ws.folder.join("agents.git.copy-packs"));
        let source = format!("the backup {backup} of {taken_at}");
        beside(repo, &copy, &mut broken);
        for one in broken.iter_mut().filter(|one| one.needs_help()) {
            one.help(repo, (&copy, &source), &mut known);
        }
    }
    for one in broken {
        repaired.extend(one.settle(ws, repo, &mut known, now)?);
    }
    // A full check is slow. Without repairs the first result is still valid.
    match repaired.is_empty() {
        true => Ok(found(ws, &checked)),
        false => Ok(Found { repaired, ..inspect(ws, Depth::Objects) }),
    }
}

/// The repository with its frame (HEAD, config, folders) repaired. If it still does not open, it is moved aside.
fn opened<'w>(
    ws: &'w Ws,
    aside: &Path,
    messages: &mut Vec<String>,
) -> Result<&'w AgentsRepo, GitError> {
    let path = ws.folder.join("agents.git");
    if !path.exists() {
        messages.push("the repository was missing".to_owned());
    }
    match mend::mend_frame(&path) {
        Ok(false) => {}
        Ok(true) => {
            messages.push("recreated HEAD, config and the folders of the repository".to_owned())
        }
        Err(error) => {
            check::put_aside(&path, aside)?;
            mend::mend_frame(&path)?;
            messages.push(format!(
                "the repository couldn't be opened ({error}) and is now in {}",
                aside.display()
            ));
        }
    }
    let repo = ws.repo()?;
    repo.reopen()?;
    Ok(repo)
}

/// Adds the lost branches that belong to the nameless ones: other branches of the same agents, and templates.
fn beside(repo: &AgentsRepo, copy: &AgentsRepo, broken: &mut Vec<Broken>) {
    let nameless: Vec<String> =
        broken.iter().filter(|one| one.is_nameless).filter_map(|one| one.slug.clone()).collect();
    if nameless.is_empty() {
        return;
    }
    // ok: a backup whose branches cannot be listed is skipped.
    for branch in copy.branches().unwrap_or_default() {
        let is_noted = broken.iter().any(|one| one.branch == branch);
        let mut parts = branch.as_str().split('/');
        let is_wanted = match (parts.next(), parts.next()) {
            (Some("agent"), _) => false,
            (Some("template"), _) => true,
            (_, Some(slug)) => nameless.iter().any(|one| one == slug),
            _ => false,
        };
        if is_wanted && !is_noted && !branch.is_draft() && repo.stands_at(&branch).is_none() {
            broken.push(Broken {
                branch,
                slug: None,
                tip: None,
                is_nameless: true,
                filled: Filled::default(),
                other: None,
                is_asked: false,
                from: Vec::new(),
            });
        }
    }
}

impl Broken {
    fn of(repo: &AgentsRepo, branch: Branch, known: &mut Known) -> Self {
        let slug = branch.as_str().strip_prefix("agent/").map(ToOwned::to_owned);
        let named = repo.stands_at(&branch);
        let tip = named.or_else(|| repo.newest_told(slug.as_deref()?));
        let filled = tip.map(|tip| repo.fill(tip, None, known)).unwrap_or_default();
        let is_nameless = named.is_none();
        Self {
            branch,
            slug,
            tip,
            is_nameless,
            filled,
            other: None,
            is_asked: false,
            from: Vec::new(),
        }
    }

    /// Whether a backup could help: objects are missing, or the head of a lost ref is unknown.
    fn needs_help(&self) -> bool {
        self.tip.is_none() || !self.filled.is_whole() || (self.is_nameless && !self.is_asked)
    }

    /// Copies what a backup has of this branch.
    fn help(&mut self, repo: &AgentsRepo, (copy, source): (&AgentsRepo, &str), known: &mut Known) {
        self.is_asked = true;
        let stood = copy.stands_at(&self.branch);
        if self.is_nameless
            && let Some(stood) = stood
        {
            let own = self.tip.and_then(|tip| repo.made_at(tip).or_else(|| copy.made_at(tip)));
            if own < copy.made_at(stood) {
                self.tip = Some(stood);
                self.from.push(format!("its position from {source}"));
            }
        }
        let Some(tip) = self.tip else { return };
        self.filled = repo.fill(tip, Some(copy), known);
        if 0 < self.filled.brought {
            self.from.push(format!("{} objects from {source}", self.filled.brought));
        }
        if 0 < self.filled.newest
            && let Some(stood) = stood.filter(|stood| *stood != tip)
            && repo.fill(stood, Some(copy), known).newest == 0
            && self.other.and_then(|other| repo.made_at(other)) < repo.made_at(stood)
        {
            self.other = Some(stood);
            self.from.push(format!("its position from {source}"));
        }
    }

    /// The last complete version, and the number of later ones if known.
    fn last_whole(
        &self,
        repo: &AgentsRepo,
        known: &mut Known,
    ) -> Option<(CommitId, Option<usize>)> {
        let own = self.tip.and_then(|tip| repo.last_whole(tip, known));
        let when = |at: Option<CommitId>| at.and_then(|at| repo.made_at(at));
        match (own, self.other) {
            (own, Some(other)) if when(own.map(|(at, _)| at)) < when(Some(other)) => {
                Some((other, None))
            }
            (own, _) => own.map(|(at, behind)| (at, Some(behind))),
        }
    }

    /// Sets the branch to the best available version. Returns what is lost.
    fn settle(
        self,
        ws: &Ws,
        repo: &AgentsRepo,
        known: &mut Known,
        now: Timestamp,
    ) -> Result<Option<String>, GitError> {
        let mut message = match self.from.is_empty() {
            true => format!("{}:", self.branch),
            false => format!("{}: recovered {};", self.branch, self.from.join(", ")),
        };
        let mut lost = Vec::new();
        let at = self.last_whole(repo, known);
        let needs_nothing = !self.is_nameless && self.filled.newest == 0;
        match at {
            Some((_, Some(behind @ 1..))) => {
                lost.push(format!("the {behind} versions after the one it continues from"));
            }
            Some((at, None)) => lost.push(format!("all versions after {}", at.short())),
            _ => {}
        }
        if 0 < self.filled.older {
            let n = self.filled.older;
            lost.push(format!("{n} objects of older versions, which can no longer be read"));
        }
        match (at, &self.slug) {
            _ if needs_nothing && self.from.is_empty() && lost.is_empty() => return Ok(None),
            _ if needs_nothing => message.push_str(" its current version is unchanged"),
            (Some((at, _)), None) => {
                repo.stand_at(&self.branch, at)?;
                message.push_str(&format!(" it is at {}", at.short()));
            }
            (Some((at, _)), Some(slug)) => {
                message.push_str(&self.go_on(ws, (repo, slug), Some(at), now)?);
                if self.is_nameless {
                    lost.push(format!(
                        "versions after {}, if there were any, except the files in the folder",
                        at.short()
                    ));
                }
            }
            (None, Some(slug)) => {
                message.push_str(&self.go_on(ws, (repo, slug), None, now)?);
                lost.push(
                    "all older versions, which aren't in any backup, and deleted files".to_owned(),
                );
            }
            (None, None) => lost.push("everything, which isn't in any backup".to_owned()),
        }
        match lost.is_empty() {
            true => message.push_str("; nothing is lost"),
            false => message.push_str(&format!("; lost: {}", lost.join("; "))),
        }
        Ok(Some(message))
    }

    /// Continues an agent's branch from a version, or restarts it, with the files in the folder on top.
    fn go_on(
        &self,
        ws: &Ws,
        (repo, slug): (&AgentsRepo, &str),
        at: Option<CommitId>,
        now: Timestamp,
    ) -> Result<String, GitError> {
        let refuses =
            |_: &str, bytes: &[u8]| leaks::in_file(&ws.app.redactor, bytes).map(|leak| leak.why);
        let (author, dir) = (Author::hq(), ws.agent_folder(slug));
        let subject = match at {
            Some(_) => "Keep the current files after the history was repaired",
            None => "Start again after the history was lost",
        };
        let message = format!("{subject}\n\nAgent: {slug}\n");
        let entry = Entry { author: &author, message: &message, time: now };
        let (mut text, skipped) = match at {
            Some(at) => (
                format!(" it continues from {} with the current files in the folder", at.short()),
                repo.go_on_from(&self.branch, at, (&dir, &refuses), &entry)?,
            ),
            None => (
                " it starts again with the current files in the folder".to_owned(),
                repo.begin_anew(&self.branch, &dir, &refuses, &entry)?,
            ),
        };
        if !skipped.is_empty() {
            let paths: Vec<&str> = skipped.iter().map(|one| one.path.as_str()).collect();
            text.push_str(&format!("; left out: {}", paths.join(", ")));
        }
        Ok(text)
    }
}
