//! Skills of an agent: methods in its own folder, `skills/<name>/SKILL.md`, each with a name and a line that says
//! when it is used (the front matter of the open SKILL.md format). The prompt names them; the agent reads a file
//! before it follows it.

use app::Ws;
use git::Branch;
use git::files::AgentFiles;
use git::history::At;
use kernel::Timestamp;
use kernel::text::cut;

use super::files::FilesError;
use super::model::Agent;
use super::{provision, templates, there};

/// How many are named.
const MOST: usize = 40;
/// The most of a file that is read for its front matter, in bytes.
const HEAD: u64 = 2_048;
/// The largest file of one that is compared, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Among so many commits of an agent it is looked who wrote a skill last.
const LOOKED: usize = 200;
/// The longest line, in bytes.
pub const MAX_LINE: usize = 220;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// The name of its folder.
    pub name: String,
    /// When it is used, in one line; empty when its file does not say.
    pub about: String,
}

impl Skill {
    /// Where its file lies in the agent's folder.
    #[must_use]
    pub fn path(&self) -> String {
        format!("skills/{}/SKILL.md", self.name)
    }

    /// As the prompt names it: `- name: when it is used`, at most [`MAX_LINE`] bytes.
    #[must_use]
    pub fn line(&self) -> String {
        let line = match self.about.as_str() {
            "" => format!("- {}", self.name),
            about => format!("- {}: {about}", self.name),
        };
        cut(&line, MAX_LINE).to_owned()
    }
}

/// Where a skill comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is as the template has it.
    Template,
    /// The template has it, and somebody has changed it here.
    Changed,
    /// The template does not have it.
    Own,
}

/// Who gave a skill the words that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The name of its author.
    pub name: String,
    /// Whether that is the agent.
    pub is_itself: bool,
    /// When; nothing while it has no commit.
    pub at: Option<Timestamp>,
}

/// A skill with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub skill: Skill,
    /// Where it comes from.
    pub origin: Origin,
    /// Who wrote it last, where it is not the template's and that is known.
    pub by: Option<By>,
}

/// The skills of an agent, each with where it comes from. Blocks on the disk.
///
/// # Errors
/// When the disk, the store or the repository fails.
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
                // Whoever writes there without a commit is the agent.
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

/// The skills in an agent's folder, in the order of their names. Blocks on the disk.
#[must_use]
pub fn of(files: &AgentFiles) -> Vec<Skill> {
    // ok: an agent may have removed the folder.
    let folders = files.list("skills").ok().flatten().unwrap_or_default();
    let mut names: Vec<String> = folders.into_iter().map(|item| item.name).collect();
    names.sort();
    let skill = |name: String| {
        // ok: what is no skill, or cannot be read, is not named.
        let head = files.read(&format!("skills/{name}/SKILL.md"), 0, HEAD).ok().flatten()?;
        let about = about(&String::from_utf8_lossy(&head.bytes));
        Some(Skill { name, about })
    };
    names.into_iter().filter_map(skill).take(MOST).collect()
}

/// The description in a file's front matter, as one line.
fn about(text: &str) -> String {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return String::new();
    }
    let within = lines.take_while(|line| line.trim_end() != "---");
    let found = within.filter_map(|line| line.strip_prefix("description:")).next();
    let words = found.unwrap_or_default().trim().trim_matches(['"', '\'']);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINE, Skill, about};

    #[test]
    fn the_line_of_a_skill_stands_in_its_front_matter() {
        let text =
            "---\nname: brief\ndescription: \"Hand work over  so that nobody asks\"\n---\n# Brief";
        assert_eq!(about(text), "Hand work over so that nobody asks");
        assert_eq!(about("# Brief\ndescription: no front matter"), "");
        assert_eq!(about("---\nname: brief\n---\ndescription: behind it"), "");
    }

    #[test]
    fn a_line_of_the_prompt_is_short() {
        let skill = Skill { name: "brief".to_owned(), about: "ü".repeat(300) };
        assert!(skill.line().len() <= MAX_LINE && skill.line().starts_with("- brief: ü"));
        let bare = Skill { name: "brief".to_owned(), about: String::new() };
        assert_eq!(bare.line(), "- brief");
    }
}
