//! A package, and where packages are in the files of a source.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{self, is_acceptable, shown};
use crate::front::{self, Requires};
use crate::{File, MAX_DESCRIPTION, MAX_FILES, MAX_NAME, SKILL_MD, SkillError};

/// Folders whose folders are packages, in the order of search.
const PLACES: [&str; 4] = ["skills/", "", ".agents/skills/", ".claude/skills/"];
const MAX_COMPATIBILITY: usize = 500;
/// Recommended maximum of the instructions, in lines.
const LONG: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Where it is in its source; empty for the root.
    pub folder: String,
    pub name: String,
    /// May have several lines.
    pub description: String,
    pub licence: Option<String>,
    pub compatibility: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub allowed_tools: Vec<String>,
    pub requires: Requires,
    /// Whether the instructions belong into every prompt.
    pub is_always: bool,
    /// Departures from the specification with which a package can be used, as sentences without a full stop.
    pub warnings: Vec<String>,
    /// Start of the instructions in `SKILL.md`, in bytes.
    pub body_offset: usize,
    /// The same as a line, from 1.
    pub body_line: usize,
    /// Sorted by path. Paths are relative to the package.
    pub files: Vec<File>,
    pub hash: [u8; 32],
}

/// The packages of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// Sorted by name.
    pub packages: Vec<Package>,
    pub broken: Vec<Broken>,
}

/// A folder with a `SKILL.md` that is no package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub folder: String,
    pub error: SkillError,
}

impl Package {
    /// A package from its files, with paths relative to it.
    pub fn from_files(folder: &str, mut files: Vec<File>) -> Result<Self, SkillError> {
        let at = |path: &str| {
            if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
        };
        files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        check_files(&files)?;
        let file = files.iter().find(|file| file.path == SKILL_MD).ok_or(SkillError::NoSkill)?;
        let text = std::str::from_utf8(&file.bytes)
            .map_err(|_invalid| SkillError::NotText { path: shown(&at(SKILL_MD)) })?;
        let wrong =
            |reason: String| SkillError::Specification { path: shown(&at(SKILL_MD)), reason };
        let front = front::front(text).map_err(|error| located(error, &shown(&at(SKILL_MD))))?;
        let front = front.ok_or_else(|| {
            wrong(
                "it has no front matter; add name and description between two lines ---".to_owned(),
            )
        })?;
        let name = front.name.ok_or_else(|| wrong("it has no name".to_owned()))?;
        if !is_name(&name) {
            return Err(wrong(format!(
                "the name {} isn't valid; use 1 to {MAX_NAME} lower-case letters, digits and single hyphens",
                shown(&name)
            )));
        }
        let description =
            front.description.ok_or_else(|| wrong("it has no description".to_owned()))?;
        if MAX_DESCRIPTION < description.chars().count() {
            return Err(wrong(format!("the description exceeds {MAX_DESCRIPTION} characters")));
        }
        let mut warnings = Vec::new();
        let last = folder.rsplit('/').next().unwrap_or_default();
        if !last.is_empty() && last != name {
            warnings.push(format!("the folder is called {}, not {name}", shown(last)));
        }
        if front.is_repaired {
            warnings.push(
                "the front matter isn't valid YAML; a value with a colon lacks quotes".to_owned(),
            );
        }
        let compatibility = front.compatibility;
        if compatibility.as_ref().is_some_and(|text| MAX_COMPATIBILITY < text.chars().count()) {
            warnings.push(format!("compatibility exceeds {MAX_COMPATIBILITY} characters"));
        }
        if LONG < text[front.body_offset..].lines().count() {
            warnings.push(format!("the instructions exceed {LONG} lines"));
        }
        let hash = files::hash(&files);
        Ok(Self {
            folder: folder.to_owned(),
            name,
            description,
            licence: front.licence,
            compatibility,
            metadata: front.metadata,
            allowed_tools: front.allowed_tools,
            requires: front.requires,
            is_always: front.is_always,
            warnings,
            body_offset: front.body_offset,
            body_line: front.body_line,
            files,
            hash,
        })
    }

    /// The whole `SKILL.md`.
    #[must_use]
    pub fn skill_md(&self) -> &str {
        self.file(SKILL_MD)
            .and_then(|file| std::str::from_utf8(&file.bytes).ok())
            .unwrap_or_default()
    }

    /// The text after the front matter.
    #[must_use]
    pub fn instructions(&self) -> &str {
        self.skill_md().get(self.body_offset..).unwrap_or_default()
    }

    #[must_use]
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The packages in the files of a source. Fails if one of them is broken.
pub fn packages(files: Vec<File>) -> Result<Vec<Package>, SkillError> {
    let mut found = collection(files)?;
    match found.broken.is_empty() {
        true => Ok(found.packages),
        false => Err(found.broken.swap_remove(0).error),
    }
}

/// The packages in the files of a source, and what only looks like one. Fails if no folder has a `SKILL.md`.
pub fn collection(files: Vec<File>) -> Result<Collection, SkillError> {
    collection_in("", files)
}

/// [`collection`] for the files of a folder of a source. Paths are relative to the folder.
pub fn collection_in(folder: &str, files: Vec<File>) -> Result<Collection, SkillError> {
    let folders = package_folders(files.iter().map(|file| file.path.as_str()));
    if folders.is_empty() {
        return Err(SkillError::NoSkill);
    }
    let mut groups: BTreeMap<String, Vec<File>> =
        folders.into_iter().map(|folder| (folder, Vec::new())).collect();
    for file in files {
        let owner = owner(&file.path, |folder| groups.contains_key(folder)).map(str::to_owned);
        let Some(owner) = owner else { continue };
        let path = file.path[owner.len()..].trim_start_matches('/').to_owned();
        groups.entry(owner).or_default().push(File { path, ..file });
    }
    let mut found = Collection::default();
    for (own, files) in groups {
        let parts = [folder, own.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let folder = parts.join("/");
        match Package::from_files(&folder, files) {
            Ok(package) => found.packages.push(package),
            Err(error) => found.broken.push(Broken { folder, error }),
        }
    }
    found.packages.sort_by(|a, b| (&a.name, &a.folder).cmp(&(&b.name, &b.folder)));
    Ok(found)
}

/// Folders of packages among these paths: the root, the only folder of the root, or the folders below it or below one of
/// its folders for skills. No package is within another one.
pub fn package_folders<'p>(paths: impl Iterator<Item = &'p str> + Clone) -> BTreeSet<String> {
    let with_skill = paths.clone().filter_map(|path| match path.strip_suffix(SKILL_MD) {
        Some("") => Some(""),
        Some(folder) => folder.strip_suffix('/'),
        None => None,
    });
    let with_skill: BTreeSet<&str> = with_skill.collect();
    if with_skill.contains("") {
        return BTreeSet::from([String::new()]);
    }
    let wrapper = wrapper(paths);
    if let Some(wrapper) = wrapper
        && with_skill.contains(wrapper)
    {
        return BTreeSet::from([wrapper.to_owned()]);
    }
    let is_place = |folder: &str| {
        PLACES.iter().any(|place| {
            let name = folder.strip_prefix(place).unwrap_or_default();
            !name.is_empty() && !name.contains('/')
        })
    };
    let is_package = |folder: &&&str| {
        let below = wrapper.and_then(|wrapper| folder.strip_prefix(wrapper)?.strip_prefix('/'));
        is_place(folder) || below.is_some_and(is_place)
    };
    let found: BTreeSet<&str> = with_skill.iter().filter(is_package).copied().collect();
    // `skills/` may be a package itself.
    let is_outermost = |folder: &&&str| owner(folder, |above| found.contains(above)).is_none();
    found.iter().filter(is_outermost).map(|folder| (*folder).to_owned()).collect()
}

/// The outermost folder above a path, or the root, that is a package.
fn owner(path: &str, is_package: impl Fn(&str) -> bool) -> Option<&str> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    std::iter::once(0).chain(ends).map(|end| &path[..end]).find(|folder| is_package(folder))
}

/// The only folder of the root, if the root has nothing else.
fn wrapper<'p>(mut paths: impl Iterator<Item = &'p str>) -> Option<&'p str> {
    let (top, _) = paths.next()?.split_once('/')?;
    paths.all(|path| path.split_once('/').is_some_and(|(other, _)| other == top)).then_some(top)
}

fn check_files(files: &[File]) -> Result<(), SkillError> {
    if MAX_FILES < files.len() {
        return Err(SkillError::TooManyFiles);
    }
    if crate::MAX_BYTES < files.iter().map(|file| file.bytes.len() as u64).sum() {
        return Err(SkillError::TooLarge);
    }
    if let Some(file) = files.iter().find(|file| !is_acceptable(&file.path)) {
        return Err(SkillError::Path {
            path: shown(&file.path),
            reason: "it isn't a relative path",
        });
    }
    match files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(SkillError::Duplicate { path: shown(&pair[0].path) }),
        None => Ok(()),
    }
}

/// Names the file of its package in an error about front matter.
fn located(error: SkillError, path: &str) -> SkillError {
    let path = path.to_owned();
    match error {
        SkillError::Front { line, reason, .. } => SkillError::Front { path, line, reason },
        SkillError::Specification { reason, .. } => SkillError::Specification { path, reason },
        other => other,
    }
}

/// Whether a text is a valid name: lower-case letters, digits and single hyphens between them.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.len() <= MAX_NAME && text.split('-').all(is_part)
}

/// A description in one line of at most `most` bytes.
#[must_use]
pub fn one_line(description: &str, most: usize) -> String {
    kernel::text::cut(&kernel::text::one_line(description), most).to_owned()
}
