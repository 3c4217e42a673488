//! Field tables: names, value types, reference targets and input rules of a noun's fields.

use crate::input::{Input, InputKind, When};
use crate::{FileKind, JsonKind};

/// The type of a field's values, which determines how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// Several texts. A comparison matches any of them.
    List,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, in ascending order.
    Ranked(&'static [&'static str]),
    /// A number.
    Number,
    /// `yes` or `no`.
    YesNo,
    /// A moment. Compared with a day, its date counts.
    Moment,
    /// A time of day, such as `09:00`.
    Clock,
}

impl Type {
    /// Wire word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::List => "list",
            Self::Words(_) | Self::Ranked(_) => "word",
            Self::Number => "number",
            Self::YesNo => "yes_no",
            Self::Moment => "moment",
            Self::Clock => "time",
        }
    }

    /// The possible words, if they are known.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Words(words) | Self::Ranked(words) => words,
            Self::YesNo => &["yes", "no"],
            _ => &[],
        }
    }
}

/// What an id in a field refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: the value is not an id.
    Itself,
    /// An agent or a member.
    Somebody,
    /// A record of the noun with this word, including `task`, `stream`, `run` and similar.
    One(&'static str),
}

/// A field of a noun. Label and meaning belong to the noun: the `size` of a file and the `size` of a company are
/// unrelated.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in the record's JSON.
    pub key: &'static str,
    /// Name in conditions and templates of routines; empty if hidden from routines.
    pub name: &'static str,
    /// Display label, as used within a sentence.
    pub label: &'static str,
    /// Type of values.
    pub of: Type,
    /// What an id in the field refers to.
    pub means: Meaning,
    /// Input rules.
    pub input: Input,
    /// Whether the API omits the field.
    pub internal: bool,
}

impl Field {
    /// A read-only field whose condition name equals its JSON name.
    #[must_use]
    pub const fn new(key: &'static str, label: &'static str, of: Type) -> Self {
        let (means, input) = (Meaning::Itself, Input::SHOWN);
        Self { key, name: key, label, of, means, input, internal: false }
    }

    /// A read-only text field.
    #[must_use]
    pub const fn text(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, Type::Text)
    }

    /// An editable field of this kind.
    #[must_use]
    pub const fn entered(key: &'static str, label: &'static str, kind: InputKind) -> Self {
        let of = match kind {
            InputKind::Flag => Type::YesNo,
            InputKind::Count(..) => Type::Number,
            InputKind::Moment => Type::Moment,
            InputKind::Choice(words, _) => Type::Words(words),
            _ => Type::Text,
        };
        let means = match kind {
            InputKind::Person => Meaning::Somebody,
            _ => Meaning::Itself,
        };
        let input = Input { kind, when: When::Always, ..Input::SHOWN };
        Self { means, input, ..Self::new(key, label, of) }
    }

    /// A single-line text field.
    #[must_use]
    pub const fn line(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Line)
    }

    /// A multi-line Markdown field.
    #[must_use]
    pub const fn long(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Long)
    }

    /// A list of texts: `Vec<String>` in the record.
    #[must_use]
    pub const fn lines(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Lines)
    }

    /// A boolean field.
    #[must_use]
    pub const fn flag(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Flag)
    }

    /// An integer field with inclusive bounds.
    #[must_use]
    pub const fn count(key: &'static str, label: &'static str, least: i64, most: i64) -> Self {
        Self::entered(key, label, InputKind::Count(least, most))
    }

    /// A member or an agent: `Option<Assignee>` in the record.
    #[must_use]
    pub const fn person(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Person)
    }

    /// A choice field. `words` and `labels` are `WORDS` and `LABELS` of a vocabulary.
    #[must_use]
    pub const fn choice(
        key: &'static str,
        label: &'static str,
        words: &'static [&'static str],
        labels: &'static [&'static str],
    ) -> Self {
        Self::entered(key, label, InputKind::Choice(words, labels))
    }

    /// A field with its own JSON schema.
    #[must_use]
    pub const fn nested(key: &'static str, label: &'static str, kind: JsonKind) -> Self {
        Self::entered(key, label, InputKind::Json(kind))
    }

    /// An uploaded file, for operations.
    #[must_use]
    pub const fn upload(key: &'static str, label: &'static str, kind: FileKind) -> Self {
        Self::entered(key, label, InputKind::File(kind))
    }

    /// The kind of file that the field takes; `None` if it takes other values.
    #[must_use]
    pub const fn file_kind(&self) -> Option<FileKind> {
        match self.input.kind {
            InputKind::File(kind) => Some(kind),
            _ => None,
        }
    }

    /// A read-only moment, such as the creation time.
    #[must_use]
    pub const fn stamp(key: &'static str, label: &'static str) -> Self {
        let of = InputKind::Moment;
        Self {
            input: Input { when: When::Never, ..Self::entered(key, label, of).input },
            ..Self::entered(key, label, of)
        }
    }

    /// Requires a value.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { input: Input { required: true, ..self.input }, ..self }
    }

    /// Stores an empty field as `null`: an `Option` in the record.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { input: Input { optional: true, ..self.input }, ..self }
    }

    /// Sets the maximum number of characters.
    #[must_use]
    pub const fn max(self, max: usize) -> Self {
        Self { input: Input { max, ..self.input }, ..self }
    }

    /// Accepts input only on creation.
    #[must_use]
    pub const fn once(self) -> Self {
        Self { input: Input { when: When::Create, ..self.input }, ..self }
    }

    /// Accepts input only after creation.
    #[must_use]
    pub const fn later(self) -> Self {
        Self { input: Input { when: When::Change, ..self.input }, ..self }
    }

    /// Sets the short description.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        Self { input: Input { about, ..self.input }, ..self }
    }

    /// Sets the default value shown in forms.
    #[must_use]
    pub const fn usual(self, usual: &'static str) -> Self {
        Self { input: Input { usual, ..self.input }, ..self }
    }

    /// Omits the field from the API.
    #[must_use]
    pub const fn internal(self) -> Self {
        Self { internal: true, ..self }
    }

    /// Sets the name in conditions and templates.
    #[must_use]
    pub const fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Sets what an id in the field refers to.
    #[must_use]
    pub const fn means(self, means: Meaning) -> Self {
        Self { means, ..self }
    }

    /// Hides the field from routines.
    #[must_use]
    pub const fn hidden(self) -> Self {
        Self { name: "", ..self }
    }
}
