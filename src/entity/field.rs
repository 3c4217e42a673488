//! The field table of a noun: names, types of values, what an id in a field refers to, and how a field is entered.

use crate::input::{Input, InputKind, JsonKind, When};

/// The kind of a field's values, which says how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Words of any kind.
    Text,
    /// Several words, each of which is it.
    List,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, from least to most.
    Ranked(&'static [&'static str]),
    /// A number.
    Number,
    /// `yes` or `no`.
    YesNo,
    /// A moment; compared with a day, its day counts.
    Moment,
    /// A time of day, such as `09:00`.
    Clock,
}

impl Type {
    /// The word on the wire.
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

    /// The words that it can be, if they are known.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Words(words) | Self::Ranked(words) => words,
            Self::YesNo => &["yes", "no"],
            _ => &[],
        }
    }
}

/// The meaning of an id in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: it is no id.
    Itself,
    /// An agent or a member.
    Somebody,
    /// A record of the noun with this word; `task`, `stream`, `run` and their like, too.
    One(&'static str),
}

/// A field of a noun. Its words mean something for its noun alone: the `size` of a file is not that of a company.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the JSON of the record.
    pub key: &'static str,
    /// Its name in conditions and templates of routines; empty where routines do not see it.
    pub name: &'static str,
    /// The words of people for it, in the middle of a sentence.
    pub label: &'static str,
    /// The kind of its values.
    pub of: Type,
    /// The meaning of an id in it.
    pub means: Meaning,
    /// How it is entered.
    pub input: Input,
    /// Whether programs are not shown it.
    pub internal: bool,
}

impl Field {
    /// A field whose name in conditions is that of the JSON.
    #[must_use]
    pub const fn new(key: &'static str, label: &'static str, of: Type) -> Self {
        let (means, input) = (Meaning::Itself, Input::SHOWN);
        Self { key, name: key, label, of, means, input, internal: false }
    }

    /// A field with words of any kind.
    #[must_use]
    pub const fn text(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, Type::Text)
    }

    /// A field that is entered as this kind.
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

    /// One line of text.
    #[must_use]
    pub const fn line(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Line)
    }

    /// Several lines of Markdown.
    #[must_use]
    pub const fn long(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Long)
    }

    /// Yes or no.
    #[must_use]
    pub const fn flag(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Flag)
    }

    /// A whole number between these, both included.
    #[must_use]
    pub const fn count(key: &'static str, label: &'static str, least: i64, most: i64) -> Self {
        Self::entered(key, label, InputKind::Count(least, most))
    }

    /// A member or an agent: an `Option<Assignee>` in the record.
    #[must_use]
    pub const fn person(key: &'static str, label: &'static str) -> Self {
        Self::entered(key, label, InputKind::Person)
    }

    /// One of some words: `WORDS` and `LABELS` of a vocabulary.
    #[must_use]
    pub const fn choice(
        key: &'static str,
        label: &'static str,
        words: &'static [&'static str],
        labels: &'static [&'static str],
    ) -> Self {
        Self::entered(key, label, InputKind::Choice(words, labels))
    }

    /// A value with a schema of its own.
    #[must_use]
    pub const fn nested(key: &'static str, label: &'static str, kind: JsonKind) -> Self {
        Self::entered(key, label, InputKind::Json(kind))
    }

    /// A moment that is shown and never entered, such as when the record was created.
    #[must_use]
    pub const fn stamp(key: &'static str, label: &'static str) -> Self {
        let of = InputKind::Moment;
        Self {
            input: Input { when: When::Never, ..Self::entered(key, label, of).input },
            ..Self::entered(key, label, of)
        }
    }

    /// The same that a record must have.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { input: Input { required: true, ..self.input }, ..self }
    }

    /// The same without a value where it is empty: an `Option` in the record.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { input: Input { optional: true, ..self.input }, ..self }
    }

    /// The same with at most so many characters.
    #[must_use]
    pub const fn max(self, max: usize) -> Self {
        Self { input: Input { max, ..self.input }, ..self }
    }

    /// The same that is entered when the record is created and never changed.
    #[must_use]
    pub const fn once(self) -> Self {
        Self { input: Input { when: When::Create, ..self.input }, ..self }
    }

    /// The same that is entered only after the record was created.
    #[must_use]
    pub const fn later(self) -> Self {
        Self { input: Input { when: When::Change, ..self.input }, ..self }
    }

    /// The same with a few words about what it is for.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        Self { input: Input { about, ..self.input }, ..self }
    }

    /// The same with what a new record has there, as its form shows it.
    #[must_use]
    pub const fn usual(self, usual: &'static str) -> Self {
        Self { input: Input { usual, ..self.input }, ..self }
    }

    /// The same that programs are not shown.
    #[must_use]
    pub const fn internal(self) -> Self {
        Self { internal: true, ..self }
    }

    /// The same by another name in conditions and templates.
    #[must_use]
    pub const fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The same with ids that mean something.
    #[must_use]
    pub const fn means(self, means: Meaning) -> Self {
        Self { means, ..self }
    }

    /// The same where routines do not see it.
    #[must_use]
    pub const fn hidden(self) -> Self {
        Self { name: "", ..self }
    }
}
