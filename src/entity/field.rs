//! The fields of a noun: their names, types of values, and what an id in them refers to.

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
}

impl Field {
    /// A field whose name in conditions is that of the JSON.
    #[must_use]
    pub const fn new(key: &'static str, label: &'static str, of: Type) -> Self {
        Self { key, name: key, label, of, means: Meaning::Itself }
    }

    /// A field with words of any kind.
    #[must_use]
    pub const fn text(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, Type::Text)
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
