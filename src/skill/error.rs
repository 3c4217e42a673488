//! Why a package is refused.

use kernel::{Problem, ProblemKind};

use crate::{MAX_BYTES, MAX_FILES};

/// Paths and reasons are shown to people, so the constructors of this package make their invisible characters visible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkillError {
    #[error("{path} is a link; replace it by the file that it points to")]
    Link { path: String },
    #[error("{path} is neither a file nor a folder; remove it")]
    Special { path: String },
    #[error("{path} isn't an acceptable path because {reason}; rename it")]
    Path { path: String, reason: &'static str },
    #[error("{path} is included twice; remove one of the two")]
    Duplicate { path: String },
    #[error("{path} and {other} have the same name on some machines; rename one of them")]
    Collision { path: String, other: String },
    #[error("{path} is encrypted; create the archive without a password")]
    Encrypted { path: String },
    #[error("the files are larger than {} MiB in total; remove some of them", MAX_BYTES >> 20)]
    TooLarge,
    #[error("there are more than {MAX_FILES} files; remove some of them")]
    TooManyFiles,
    #[error("{what} is damaged or not supported ({reason}); create it again")]
    Damaged { what: String, reason: String },
    #[error("this is neither a .zip nor a .tar.gz file")]
    NotArchive,
    #[error("{path} can't be read: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("there is no SKILL.md at the top, in one folder, or in skills/<name>/")]
    NoSkill,
    #[error("{path} isn't valid UTF-8 text; save it as UTF-8")]
    NotText { path: String },
    /// `line` counts from 1.
    #[error("{path}, line {line}: {reason}")]
    Front { path: String, line: usize, reason: String },
    #[error("{path}: {reason}")]
    Specification { path: String, reason: String },
    #[error("the index of skills isn't valid: {reason}")]
    Index { reason: String },
    #[error("the file of the skill {name} has another digest than the index says; try again later")]
    Digest { name: String },
    #[error("{reason}")]
    Source { reason: String },
}

impl Problem for SkillError {
    fn code(&self) -> &'static str {
        match self {
            Self::Link { .. } => "skill_link",
            Self::Special { .. } => "skill_special_file",
            Self::Path { .. } => "skill_path",
            Self::Duplicate { .. } => "skill_duplicate_file",
            Self::Collision { .. } => "skill_colliding_names",
            Self::Encrypted { .. } => "skill_encrypted",
            Self::TooLarge => "skill_too_large",
            Self::TooManyFiles => "skill_too_many_files",
            Self::Damaged { .. } => "skill_damaged",
            Self::NotArchive => "skill_not_archive",
            Self::Unreadable { .. } => "skill_unreadable",
            Self::NoSkill => "skill_not_found_in_source",
            Self::NotText { .. } => "skill_not_text",
            Self::Front { .. } => "skill_front_matter",
            Self::Specification { .. } => "skill_specification",
            Self::Index { .. } => "skill_index",
            Self::Digest { .. } => "skill_digest",
            Self::Source { .. } => "skill_source",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::TooLarge | Self::TooManyFiles => ProblemKind::TooLarge,
            Self::Index { .. } | Self::Digest { .. } => ProblemKind::Upstream,
            _ => ProblemKind::Invalid,
        }
    }
}

/// A foreign text in an error or excerpt: one line, with its invisible characters visible, at most `most` bytes.
pub(crate) fn visible(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if most <= shown.len() {
            shown.push('…');
            break;
        }
        match character {
            '\t' => shown.push(' '),
            _ if is_invisible(character) => {
                shown.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Characters without a glyph, and those that change the direction of their neighbours.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0e}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
