//! Skills of an agent: instructions in `skills/<name>/SKILL.md` of its folder, each with a name and a line that says
//! when to use it (front matter of the open SKILL.md format). The prompt lists them; the agent reads a file before it
//! follows it.

use app::Ws;
use git::Branch;
use git::files::AgentFiles;
use git::folder::Kind;
use git::history::At;
use kernel::text::cut;
use kernel::{AgentId, Timestamp};
use store::{Read, StoreError};

use super::files::FilesError;
use super::model::Agent;
use super::packages::Package;
use super::{provision, templates, there};
use crate::runs::queries::taint;

/// Maximum number of skills listed.
const MOST: usize = 40;
/// Maximum number of skills in a folder.
const MAX_OWN: usize = 500;
/// Maximum part of a file that is read for its front matter, in bytes.
const HEAD: u64 = 8_192;
/// Maximum size of a skill file that is compared with the template, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Number of the agent's latest commits searched for the author of a skill.
const LOOKED: usize = 200;
/// Maximum number of skills that the messages of a turn ask for.
pub const MAX_NAMED: usize = 5;
/// Maximum number of names in the messages of a turn. Some are no skills, such as `$100`.
const MAX_WORDS: usize = 100;
/// Maximum length of a name, in bytes.
pub const MAX_NAME: usize = skill::MAX_NAME;
/// Maximum length of a line in the prompt, in bytes.
pub const MAX_LINE: usize = 220;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// Name of its folder.
    pub name: String,
    /// When to use it, in one line; empty if the file has no description.
    pub about: String,
}

impl Skill {
    /// Path in the agent's folder.
    #[must_use]
    pub fn path(&self) -> String {
        format!("skills/{}/SKILL.md", self.name)
    }

    /// Line in the prompt: `- name: when to use it`, at most [`MAX_LINE`] bytes.
    #[must_use]
    pub fn line(&self) -> String {
        let line = match self.about.as_str() {
            "" => format!("- {}", self.name),
            about => format!("- {}: {about}", self.name),
        };
        cut(&line, MAX_LINE).to_owned()
    }
}

/// Lines of the prompt: the skills in the agent's folder, then its packages, at most `MOST`; empty without skills.
#[must_use]
pub fn lines(own: &[Skill], packages: &[Package]) -> Vec<String> {
    let all = own.iter().map(Skill::line).chain(packages.iter().map(|one| one.skill().line()));
    let mut lines: Vec<String> = all.collect();
    if MOST < lines.len() {
        let left_out = lines.len() - (MOST - 1);
        lines.truncate(MOST - 1);
        lines.push(format!("- and {left_out} more, which knowledge_search finds"));
    }
    lines
}

/// Adds the names that a message has as `$name`, without duplicates. Not all of them are skills.
pub fn name_all(text: &str, names: &mut Vec<String>) {
    let is_inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    for (at, _) in text.match_indices('$') {
        let is_start = text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '(');
        let rest = &text[at + 1..];
        let name = &rest[..rest.find(|c: char| !is_inside(c)).unwrap_or(rest.len())];
        let ends = rest[name.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        let name = name.trim_end_matches(['-', '_']);
        if is_start && ends && !name.is_empty() && names.iter().all(|known| known != name) {
            names.push(name.to_owned());
        }
    }
    names.truncate(MAX_WORDS);
}

/// Origin of a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Unchanged from the template.
    Template,
    /// From the template, with changes.
    Changed,
    /// Not in the template.
    Own,
}

/// Author of the current version of a skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    pub name: String,
    /// Whether the author is the agent.
    pub is_itself: bool,
    /// `None` if the version is not committed.
    pub at: Option<Timestamp>,
}

/// A skill with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub skill: Skill,
    pub origin: Origin,
    /// Last author, if known and not the template.
    pub by: Option<By>,
}

/// The skills of an agent with their origins. Blocking.
///
/// # Errors
/// If the disk, store or repository fails.
pub fn with_origins(ws: &Ws, agent: &Agent) -> Result<Vec<Told>, FilesError> {
    let folder = there::last_folder(ws, agent)?;
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let (files, repo) = (AgentFiles::open(&folder)?, ws.repo()?);
    let who = provision::persona(ws, agent)?;
    let branch = Branch::agent(&agent.slug)?;
    let (mut all, mut own) = (Vec::new(), Vec::new());
    for skill in of(&files) {
        let path = skill.path();
        let template = match agent.template_commit {
            Some(version) => repo.read_file(&At::Commit(version), &path)?,
            None => None,
        };
        let has = files.read_up_to(&path, MAX_FILE)?.map(|part| part.bytes);
        let origin = match template {
            None => Origin::Own,
            Some(file) if has == Some(templates::filled(&file, &who).bytes) => Origin::Template,
            Some(_) => Origin::Changed,
        };
        let mut by = None;
        if origin != Origin::Template {
            let kept = repo.read_file(&At::Branch(branch.clone()), &path)?;
            match kept.map(|file| file.bytes) == has {
                true => own.push((all.len(), path)),
                // Uncommitted changes are the agent's.
                false => by = Some(By { name: agent.name.clone(), is_itself: true, at: None }),
            }
        }
        all.push(Told { skill, origin, by });
    }
    let (places, paths): (Vec<usize>, Vec<String>) = own.into_iter().unzip();
    let changes = repo.last_changes(&branch, &paths, LOOKED)?;
    let itself = format!("{}@agents.hq", agent.slug);
    for (place, change) in places.into_iter().zip(changes) {
        all[place].by = change.map(|change| By {
            is_itself: change.email == itself,
            name: change.author,
            at: Some(change.time),
        });
    }
    Ok(all)
}

/// The skills in an agent's folder, by name. Blocking.
#[must_use]
pub fn of(files: &AgentFiles) -> Vec<Skill> {
    // ok: the agent may have removed the folder.
    let folders = files.list("skills").ok().flatten().unwrap_or_default();
    let mut names: Vec<String> = folders.into_iter().map(|item| item.name).collect();
    names.sort();
    let skill = |name: String| {
        // ok: an unreadable or missing skill file is not listed.
        let head = files.read(&format!("skills/{name}/SKILL.md"), 0, HEAD).ok().flatten()?;
        let about = about(&String::from_utf8_lossy(&head.bytes));
        Some(Skill { name, about })
    };
    names.into_iter().filter_map(skill).take(MAX_OWN).collect()
}

/// Whether the agent's folder has a skill of this name. Blocking.
#[must_use]
pub fn has(files: &AgentFiles, name: &str) -> bool {
    let kind = files.kind(&format!("skills/{name}/SKILL.md"));
    matches!(kind, Ok(Some(Kind::File { .. })))
}

/// The skills of [`of`] without those that a run wrote after it had read untrusted content.
pub fn trusted(
    read: &dyn Read,
    agent: AgentId,
    files: &AgentFiles,
) -> Result<Vec<Skill>, StoreError> {
    let untrusted = taint::skills_of(read, agent)?;
    let mut all = of(files);
    all.retain(|skill| !untrusted.contains(&skill.name));
    Ok(all)
}

/// The description in the front matter, as one line.
fn about(text: &str) -> String {
    let found = match skill::front(text) {
        Ok(Some(front)) => front.description.unwrap_or_default(),
        Ok(None) => String::new(),
        // ok: front matter that isn't YAML, or whose end was not read, may still have a line that can be found.
        Err(_) => by_line(text),
    };
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The description in a text that isn't YAML.
fn by_line(text: &str) -> String {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return String::new();
    }
    let within = lines.take_while(|line| line.trim_end() != "---");
    let found = within.filter_map(|line| line.strip_prefix("description:")).next();
    found.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINE, Skill, about, lines, name_all};

    #[test]
    fn the_line_of_a_skill_stands_in_its_front_matter() {
        let text =
            "---\nname: brief\ndescription: \"Hand work over  so that nobody asks\"\n---\n# Brief";
        assert_eq!(about(text), "Hand work over so that nobody asks");
        assert_eq!(about("# Brief\ndescription: no front matter"), "");
        assert_eq!(about("---\nname: brief\n---\ndescription: behind it"), "");
        let folded = "---\nname: brief\ndescription: >\n  Hand work over\n  in time\n---\n# Brief";
        assert_eq!(about(folded), "Hand work over in time");
        let listed = "---\ndescription: [a, b\nname: brief\n---\n# Brief";
        assert_eq!(about(listed), "[a, b");
    }

    #[test]
    fn a_message_names_skills_with_a_dollar_sign() {
        let named = |text: &str| {
            let mut names = Vec::new();
            name_all(text, &mut names);
            names
        };
        assert_eq!(
            named("$pdf, then ($house-style). It costs $100 and a$b, $pdf"),
            ["pdf", "house-style", "100"]
        );
        assert_eq!(named("$ $$ $HOME ${x} $pdfX"), [""; 0]);
    }

    #[test]
    fn the_prompt_has_forty_lines_at_most() {
        let skill = |n: usize| Skill { name: format!("s{n}"), about: String::new() };
        let own: Vec<Skill> = (0..60).map(skill).collect();
        let all = lines(&own, &[]);
        assert_eq!(all.len(), 40);
        assert_eq!(all[39], "- and 21 more, which knowledge_search finds");
        assert_eq!(lines(&own[..40], &[]).len(), 40);
    }

    #[test]
    fn a_line_of_the_prompt_is_short() {
        let skill = Skill { name: "brief".to_owned(), about: "ü".repeat(300) };
        assert!(skill.line().len() <= MAX_LINE && skill.line().starts_with("- brief: ü"));
        let bare = Skill { name: "brief".to_owned(), about: String::new() };
        assert_eq!(bare.line(), "- brief");
    }
}
