//! Vocabulary of a person's appearance settings.

words! {
    /// Colours of pages.
    #[derive(Default)]
    ThemeChoice {
        /// As in the operating system.
        #[default]
        System = "system", "System";
        /// Dark text on a light background.
        Light = "light", "Light";
        /// Light text on a dark background.
        Dark = "dark", "Dark";
    }
}

words! {
    /// Height of rows and controls.
    #[derive(Default)]
    Density {
        /// By the width of the window and the kind of pointer.
        #[default]
        Auto = "auto", "Automatic";
        /// More space.
        Comfortable = "comfortable", "Comfortable";
        /// More lines.
        Compact = "compact", "Compact";
    }
}

words! {
    /// First day of the week.
    #[derive(Default)]
    FirstDay {
        /// As in the country of the browser's language.
        #[default]
        Auto = "auto", "Automatic";
        /// Monday.
        Monday = "monday", "Monday";
        /// Sunday.
        Sunday = "sunday", "Sunday";
        /// Saturday.
        Saturday = "saturday", "Saturday";
    }
}

words! {
    /// How days are written.
    #[derive(Default)]
    DateForm {
        /// With the name of the month.
        #[default]
        Words = "words", "29 Nov 2026";
        /// Month, day and year with slashes.
        MonthFirst = "month_first", "11/29/2026";
        /// Day, month and year with slashes.
        DayFirst = "day_first", "29/11/2026";
        /// Day, month and year with dots.
        Dots = "dots", "29.11.2026";
        /// Year, month and day with hyphens.
        Iso = "iso", "2026-11-29";
    }
}

words! {
    /// How times of day are written.
    #[derive(Default)]
    TimeForm {
        /// From 0:00 to 23:59.
        #[default]
        Whole = "24", "24 hours (14:30)";
        /// With am and pm.
        Halves = "12", "12 hours (2:30 pm)";
    }
}

words! {
    /// How numbers are written.
    #[derive(Default)]
    NumberForm {
        /// Commas between thousands and a decimal point.
        #[default]
        Comma = "comma", "1,234.5";
        /// Points between thousands and a decimal comma.
        Point = "point", "1.234,5";
        /// Spaces between thousands and a decimal comma.
        Space = "space", "1 234,5";
    }
}
