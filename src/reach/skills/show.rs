//! Review of a package before its approval: findings, required tools and programs, files, and changes since the active
//! version. All foreign text is shown with hidden characters visible.

use app::Ws;
use entity::{Fields, text_of};
use features::deliverables::queries::diff::{self, Line};
use features::notifications::queries as notifications;
use kernel::Error;
use kit::{OpCx, Prepared, Section, SectionBody};
use serde_json::{Value, json};
use skill::{Change, DiffLine, File, FileDiff, FindingKind, Level, Package, SKILL_MD};
use store::{Read, ReadExt as _, StoreError};

use super::model::{Needs, Skill, SkillId, SkillVersion};
use super::{disk, list, queries};
use crate::names::visible;
use crate::nouns::{code, text};

/// Size of the lines of a file that are shown at once, in bytes. The first one is shown whatever its size.
const MAX_PART: usize = 100_000;

pub(super) fn skills_schema() -> Value {
    let text = json!({ "type": "string" });
    let skill = json!({ "type": "object", "properties": {
        "name": text, "description": text, "origin": text, "agent": text, "state": text, "reason": text,
    }});
    json!({
        "type": "object",
        "properties": { "message": text, "skills": { "type": "array", "items": skill } },
        "required": ["message", "skills"],
    })
}

/// The sections on the page of a package.
pub(super) fn detail(
    ws: &Ws,
    read: &dyn Read,
    record: &Fields,
) -> Result<Vec<Section>, StoreError> {
    let found = match text_of(record, "id").parse::<SkillId>() {
        Ok(id) => read.get::<Skill>(id)?,
        Err(_) => None,
    };
    found.map_or(Ok(Vec::new()), |skill| sections(ws, read, &skill))
}

fn sections(ws: &Ws, read: &dyn Read, skill: &Skill) -> Result<Vec<Section>, StoreError> {
    let (active, waiting) = (queries::active(read, skill)?, queries::waiting(read, skill)?);
    let mut all = Vec::new();
    let owners = list::owners(ws, read, &skill.name)?;
    if !owners.is_empty() {
        let message = format!("Agents with their own skill of this name: {}", owners.join(", "));
        all.push(text("Shadowed in agent folders", message));
    }
    let Some(version) = waiting.as_ref().or(active.as_ref()) else { return Ok(all) };
    let title = match (&waiting, &active) {
        (Some(_), Some(_)) => "Update that waits for approval",
        (Some(_), None) => "Waits for approval",
        (None, _) => "Active version",
    };
    all.push(code(title, facts(read, skill, version)?));
    if !version.findings.is_empty() {
        all.push(code("Findings", findings(version)));
    }
    if !version.allowed_tools.is_empty() {
        let tools: Vec<String> = version.allowed_tools.iter().map(|tool| visible(tool)).collect();
        all.push(text("Tools it asks for (grants nothing)", tools.join(", ")));
    }
    let needs = needs(&version.needs);
    if !needs.is_empty() {
        all.push(text("Needs", needs));
    }
    if !version.hosts.is_empty() {
        let hosts: Vec<String> = version.hosts.iter().map(|host| visible(host)).collect();
        all.push(text("Hosts in its files", hosts.join(", ")));
    }
    match disk::load(ws, version) {
        Ok(package) => {
            let former = active.filter(|_| waiting.is_some());
            let mut cuts = Vec::new();
            match former.map(|former| disk::load(ws, &former)) {
                Some(Ok(former)) => {
                    let diff = skill::diff(&former, &package);
                    all.push(code("Changed files", changed(&former, &package, &diff)));
                    let lines = diff
                        .iter()
                        .filter_map(|one| lines_of(one, true, &package.files, &mut cuts));
                    all.extend(lines);
                }
                Some(Err(error)) => {
                    all.push(text("Changes", sentence(&error)));
                    all.extend(texts(&package.files, &mut cuts));
                }
                None if waiting.is_some() => all.extend(texts(&package.files, &mut cuts)),
                None => {
                    let instructions = package.file(SKILL_MD).map(std::slice::from_ref);
                    all.extend(texts(instructions.unwrap_or_default(), &mut cuts));
                }
            }
            all.push(code("Files", names(&package)));
            if !cuts.is_empty() {
                all.push(code("Not shown", not_shown(skill, &cuts)));
            }
        }
        Err(error) => all.push(text("Files", sentence(&error))),
    }
    Ok(all)
}

fn sentence(error: &Error) -> String {
    web::form::sentence(&error.to_string())
}

fn facts(read: &dyn Read, skill: &Skill, version: &SkillVersion) -> Result<String, StoreError> {
    let mut lines = vec![format!("Version {}, hash {}", version.number, version.hash)];
    lines.push(match version.source.as_str() {
        "" if skill.proposed_by.is_empty() => {
            let name = notifications::name(read, version.by)?;
            format!("Uploaded by {}", visible(&name))
        }
        "" => format!("Proposed by @{}", skill.proposed_by),
        source => format!("From {}", visible(source)),
    });
    lines.push(match skill.agents.as_slice() {
        [] => "For: all agents".to_owned(),
        agents => format!("For: @{}", agents.join(", @")),
    });
    if !version.commit.is_empty() {
        lines.push(format!("Commit {}", version.commit));
    }
    if !version.licence.is_empty() {
        lines.push(format!("Licence {}", visible(&version.licence)));
    }
    let files = web::format::count(u64::from(version.file_count), "file", "files");
    lines.push(format!("{files}, {} bytes", version.size));
    lines.push(visible(&version.description));
    Ok(lines.join("\n"))
}

fn findings(version: &SkillVersion) -> String {
    let line = |one: &super::model::StoredFinding| {
        // ok: a word of a later version is shown as it is.
        let kind = one.kind.parse::<FindingKind>().ok();
        let level = match kind.map(FindingKind::level) {
            Some(Level::Danger) => "Danger",
            Some(Level::Caution) => "Caution",
            Some(Level::Note) | None => "Note",
        };
        let label = match kind {
            Some(kind) => kind.label(),
            None => &one.kind,
        };
        let place = match one.line {
            0 => visible(&one.file),
            line => format!("{}:{line}", visible(&one.file)),
        };
        format!("{level} · {label} · {place}\n    {}", visible(&one.excerpt))
    };
    let mut lines: Vec<String> = version.findings.iter().map(line).collect();
    if 0 < version.more_findings {
        lines.push(format!("and {} more", version.more_findings));
    }
    lines.join("\n")
}

fn needs(needs: &Needs) -> String {
    let mut parts = Vec::new();
    for (label, all) in [
        ("programs", &needs.bins),
        ("one of the programs", &needs.any_bins),
        ("secrets", &needs.env),
        ("settings", &needs.config),
        ("systems", &needs.os),
    ] {
        if !all.is_empty() {
            let all: Vec<String> = all.iter().map(|one| visible(one)).collect();
            parts.push(format!("{label}: {}", all.join(", ")));
        }
    }
    parts.join("; ")
}

fn name(file: &File) -> String {
    let mark = if file.is_executable { ", executable" } else { "" };
    let kind = if file.text().is_none() { ", no text" } else { "" };
    format!("{} ({} bytes{mark}{kind})", visible(&file.path), file.bytes.len())
}

fn names(package: &Package) -> String {
    package.files.iter().map(name).collect::<Vec<_>>().join("\n")
}

/// A line for each changed file.
fn changed(before: &Package, after: &Package, diff: &[FileDiff]) -> String {
    let line = |one: &FileDiff| {
        let (old, new) = (before.file(&one.path), after.file(&one.path));
        let size = old.map_or(0, |file| file.bytes.len());
        let (old, new) = (old.map(name).unwrap_or_default(), new.map(name).unwrap_or_default());
        match &one.change {
            Change::Added { .. } => format!("Added: {new}"),
            Change::Removed { .. } => format!("Removed: {old}"),
            Change::Changed { .. } | Change::Binary => {
                format!("Changed: {new}, before {size} bytes")
            }
            Change::ModeChanged { is_executable: true } => format!("Can be run now: {new}"),
            Change::ModeChanged { is_executable: false } => {
                format!("Can’t be run any more: {new}")
            }
        }
    };
    match diff {
        [] => "None".to_owned(),
        diff => diff.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

/// A part of a file that is not shown.
struct Cut {
    path: String,
    what: String,
    /// The line from which the file is to be read; `None` if it isn't text.
    from: Option<usize>,
}

/// The texts of files. Notes what is not shown.
fn texts(files: &[File], cuts: &mut Vec<Cut>) -> Vec<Section> {
    let diff = skill::file_changes(&[], files);
    diff.iter().filter_map(|one| lines_of(one, false, files, cuts)).collect()
}

/// The lines of a file; `None` if nothing of it can be shown. Notes what is not shown.
fn lines_of(
    one: &FileDiff,
    has_former: bool,
    files: &[File],
    cuts: &mut Vec<Cut>,
) -> Option<Section> {
    let is_binary = || {
        files.iter().find(|file| file.path == one.path).is_some_and(|file| file.text().is_none())
    };
    let cut = |what: String, from| Cut { path: one.path.clone(), what, from };
    let (lines, is_cut) = match &one.change {
        Change::Added { lines, is_cut } | Change::Changed { lines, is_cut } => (lines, *is_cut),
        Change::Binary => {
            cuts.push(cut("it isn’t text".to_owned(), None));
            return None;
        }
        Change::Removed { .. } | Change::ModeChanged { .. } => return None,
    };
    if is_cut && lines.is_empty() && is_binary() {
        cuts.push(cut("it isn’t text".to_owned(), None));
        return None;
    }
    if is_cut {
        let (what, from) = cut_of(lines);
        cuts.push(cut(what, Some(from)));
    }
    if lines.is_empty() {
        return None;
    }
    let path = visible(&one.path);
    Some(match has_former {
        true => {
            let body = SectionBody::Lines(lines.iter().map(shown).collect());
            Section { title: format!("Changes of {path}"), body }
        }
        false => {
            let lines: Vec<String> =
                lines.iter().map(|line| as_text(&shown(line), false)).collect();
            code(&path, lines.join("\n"))
        }
    })
}

/// What is missing in the lines of a file, and the line from which to read the new version of it.
fn cut_of(lines: &[DiffLine]) -> (String, usize) {
    let mut next = 1;
    let mut long = None;
    for line in lines {
        if line.is_cut() {
            long = long.or(Some(next));
        }
        next += match line {
            DiffLine::Same(_) | DiffLine::New(_) => 1,
            DiffLine::Old(_) => 0,
            DiffLine::Skipped(count) => *count,
        };
    }
    match long {
        None if lines.is_empty() => ("its text".to_owned(), 1),
        Some(line) => (format!("the rest of line {line} and of lines below it"), line),
        None => (format!("what follows line {}", next - 1), next),
    }
}

fn not_shown(skill: &Skill, cuts: &[Cut]) -> String {
    let line = |cut: &Cut| {
        let path = visible(&cut.path);
        match cut.from {
            None => format!("Not shown: {path}, {}", cut.what),
            Some(from) => format!(
                "Not shown: {path}, {}. Read it with: hq skills review {} --file {} --from {from}",
                cut.what,
                skill.name,
                quoted(&path),
            ),
        }
    };
    let mut lines: Vec<String> = cuts.iter().map(line).collect();
    lines.push("API: POST /api/v1/skills/{name}/review with \"file\" and \"from\"".to_owned());
    lines.join("\n")
}

/// A path as an argument of a command.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn shown(line: &DiffLine) -> Line {
    match line {
        DiffLine::Same(text) => Line::Same(visible(text)),
        DiffLine::New(text) => Line::New(visible(text)),
        DiffLine::Old(text) => Line::Old(visible(text)),
        DiffLine::Skipped(count) => Line::Skipped(*count),
    }
}

fn as_text(line: &Line, has_marks: bool) -> String {
    match line {
        Line::Same(text) | Line::New(text) | Line::Old(text) if !has_marks => text.clone(),
        Line::Same(text) => format!("  {text}"),
        Line::New(text) => format!("+ {text}"),
        Line::Old(text) => format!("- {text}"),
        Line::Skipped(count) => format!("… {count} lines"),
    }
}

/// The lines of a file from one on.
fn part(package: &Package, path: &str, from: usize) -> Result<String, Error> {
    // As it is written on the page.
    let shown = || package.files.iter().find(|file| visible(&file.path) == path);
    let Some(file) = package.file(path).or_else(shown) else {
        let path = kernel::text::ellipsis(&visible(path), 100);
        return Err(Error::field("file", format!("This version has no file “{path}”.")));
    };
    let Some(text) = file.text() else { return Ok(format!("{}\nIt isn’t text.", name(file))) };
    let count = text.lines().count();
    let (mut lines, mut size) = (Vec::new(), 0);
    for line in text.lines().skip(from - 1) {
        if !lines.is_empty() && MAX_PART < size + line.len() {
            break;
        }
        size += line.len() + 1;
        lines.push(visible(line));
    }
    let end = from - 1 + lines.len();
    let rest = match end < count {
        true => format!("; continue with from: {}", end + 1),
        false => String::new(),
    };
    let head = match lines.is_empty() {
        true => format!("{}: it has {count} lines", name(file)),
        false => format!("{}: lines {from} to {end} of {count}{rest}", name(file)),
    };
    Ok(format!("{head}\n\n{}", lines.join("\n")))
}

/// The file that a person asks for, of the version with the given number, or the one on the page.
fn file(cx: &OpCx<'_>, ws: &Ws, path: &str) -> Result<Prepared, Error> {
    let number = cx.count("number");
    let (skill, version) = ws.read(|snap| {
        let skill = cx.record::<Skill>(snap)?;
        let version = match number {
            0 => queries::waiting(snap, &skill)?.or(queries::active(snap, &skill)?),
            number => {
                let all = queries::versions(snap, skill.id)?;
                all.into_iter().find(|version| i64::from(version.number) == number)
            }
        };
        Ok::<_, Error>((skill, version))
    })?;
    let Some(version) = version else {
        return Err(Error::field(
            "number",
            format!("The skill {} has no such version.", skill.name),
        ));
    };
    let from = usize::try_from(cx.count("from")).unwrap_or_default().max(1);
    let part = part(&disk::load(ws, &version)?, path, from)?;
    let message =
        format!("{}, version {}, hash {}\n{part}", skill.name, version.number, version.hash);
    Ok(Box::new(json!({ "message": message })))
}

/// The same as text, for commands and the API.
pub(super) fn review(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let path = cx.text("file");
    if !path.is_empty() {
        return file(cx, ws, path);
    }
    let (skill, sections) = ws.read(|snap| {
        let skill = cx.record::<Skill>(snap)?;
        let sections = sections(ws, snap, &skill)?;
        Ok::<_, Error>((skill, sections))
    })?;
    let mut parts = vec![skill.name];
    for section in sections {
        let body = match section.body {
            SectionBody::Text(text) | SectionBody::Code(text) => text,
            SectionBody::Changes(old, new) => unified(&diff::changes(&old, &new)),
            SectionBody::Lines(lines) => unified(&lines),
        };
        parts.push(format!("== {}\n{body}", section.title));
    }
    Ok(Box::new(json!({ "message": parts.join("\n\n") })))
}

fn unified(lines: &[Line]) -> String {
    lines.iter().map(|line| as_text(line, true)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use skill::{File, Package};

    use super::{cut_of, lines_of, part, texts};

    fn package(files: &[(&str, &str)]) -> Package {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            is_executable: false,
            bytes: text.as_bytes().to_vec(),
        };
        let mut all = vec![file(&("SKILL.md", "---\nname: pdf\ndescription: Read\n---\nGo.\n"))];
        all.extend(files.iter().map(file));
        Package::from_files("", all).expect("a package")
    }

    #[test]
    fn what_is_not_shown_is_named_with_the_line_to_read_from() {
        let many: String = (1..=1_500).map(|line| format!("line {line}\n")).collect();
        let long = format!("short\n{}\nshort\n", "x".repeat(2_000));
        let package = package(&[("many.md", &many), ("long.md", &long), ("data.bin", "\0")]);
        let mut cuts = Vec::new();
        let shown = texts(&package.files, &mut cuts);
        assert_eq!(shown[0].title, "SKILL.md");
        let cuts: Vec<_> = cuts.iter().map(|cut| (cut.path.as_str(), cut.from)).collect();
        assert_eq!(cuts, [("data.bin", None), ("long.md", Some(2)), ("many.md", Some(1_001))]);
        let rest = part(&package, "many.md", 1_001).expect("lines");
        assert!(rest.contains("lines 1001 to 1500 of 1500"), "{rest}");
        assert!(rest.ends_with("line 1500"), "{rest}");
        let whole = part(&package, "long.md", 2).expect("lines");
        assert!(whole.contains(&"x".repeat(2_000)), "{whole}");
        assert!(part(&package, "none.md", 1).is_err());
    }

    #[test]
    fn every_line_of_many_changed_files_is_shown_or_named() {
        let text: String = (1..=900).map(|line| format!("line {line}\n")).collect();
        let paths: Vec<String> = (0..40).map(|number| format!("f{number:02}.md")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), &*text)).collect();
        let (before, after) = (package(&[]), package(&files));
        let mut cuts = Vec::new();
        let diff = skill::diff(&before, &after);
        let shown =
            diff.iter().filter_map(|one| lines_of(one, true, &after.files, &mut cuts)).count();
        assert_eq!(shown, 6);
        assert_eq!(cuts.len(), 35);
        assert_eq!((cuts[0].path.as_str(), cuts[0].from), ("f05.md", Some(501)));
        assert_eq!((cuts[34].path.as_str(), cuts[34].from), ("f39.md", Some(1)));
        assert_eq!(cut_of(&[]).1, 1);
    }
}
