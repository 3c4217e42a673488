//! Vocabulary of task grouping: streams, labels, relations.

words! {
    /// What a stream is made along.
    StreamKind {
        /// A part of the company.
        Functional = "functional", "Function";
        /// Work with an end.
        Project = "project", "Project";
        /// Whatever people like.
        Custom = "custom", "Other";
        /// A place.
        Geographic = "geographic", "Place";
        /// A way to customers.
        Channel = "channel", "Channel";
    }
}

words! {
    /// One of the twelve colours of streams and labels; the style sheet says how it looks.
    Hue {
        /// The first.
        C1 = "c1", "Red";
        /// The second.
        C2 = "c2", "Orange";
        /// The third.
        C3 = "c3", "Amber";
        /// The fourth.
        C4 = "c4", "Yellow";
        /// The fifth.
        C5 = "c5", "Lime";
        /// The sixth.
        C6 = "c6", "Green";
        /// The seventh.
        C7 = "c7", "Teal";
        /// The eighth.
        C8 = "c8", "Cyan";
        /// The ninth.
        C9 = "c9", "Blue";
        /// The tenth.
        C10 = "c10", "Indigo";
        /// The eleventh.
        C11 = "c11", "Violet";
        /// The twelfth.
        C12 = "c12", "Pink";
    }
}

words! {
    /// What somebody says to a comment without words.
    ReactionKind {
        /// Yes.
        ThumbsUp = "thumbs_up", "Thumbs up";
        /// No.
        ThumbsDown = "thumbs_down", "Thumbs down";
        /// Love.
        Heart = "heart", "Heart";
        /// Something to celebrate.
        Party = "party", "Hooray";
        /// Laughter.
        Laugh = "laugh", "Laugh";
        /// Somebody looks at it.
        Eyes = "eyes", "Looking";
        /// It is not clear.
        Confused = "confused", "Confused";
        /// It goes on.
        Rocket = "rocket", "Rocket";
    }
}

impl ReactionKind {
    /// The emoji character.
    #[must_use]
    pub fn emoji(self) -> &'static str {
        match self {
            Self::ThumbsUp => "👍",
            Self::ThumbsDown => "👎",
            Self::Heart => "❤️",
            Self::Party => "🎉",
            Self::Laugh => "😄",
            Self::Eyes => "👀",
            Self::Confused => "😕",
            Self::Rocket => "🚀",
        }
    }

    /// Parses a word, an emoji or a short code (`:heart:`).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_matches(':');
        let plain =
            |emoji: &str| emoji.trim_end_matches('\u{fe0f}') == text.trim_end_matches('\u{fe0f}');
        Self::ALL.iter().copied().find(|one| one.word() == text || plain(one.emoji()))
    }
}

impl Hue {
    /// A default colour derived from the name; the same name always gets the same colour.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let sum = name
            .to_lowercase()
            .bytes()
            .fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        Self::ALL[sum % Self::ALL.len()]
    }
}

words! {
    /// How one task stands to another. The kinds that are not stored are these seen from the other
    /// side, or the parent of a task.
    RelationKind {
        /// It cannot go on before the other is over.
        BlockedBy = "blocked_by", "Blocked by";
        /// Somebody who reads one should know of the other.
        RelatesTo = "relates_to", "Related to";
    }
}

#[cfg(test)]
mod tests {
    use super::Hue;

    #[test]
    fn a_name_has_the_same_colour_in_any_case() {
        assert_eq!(Hue::of("Bug"), Hue::of("bug"));
        let colours: std::collections::BTreeSet<_> =
            ["bug", "idea", "urgent", "design", "sales"].map(Hue::of).into();
        assert!(colours.len() > 2, "{colours:?}");
    }
}
