//! Maps roles of the accessibility tree to kinds of lines.

/// How a node appears in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part that can be acted on.
    Interactive,
    /// A part that contains others; usable as `within`.
    Container,
    /// A part if it has a name, else only its contents count.
    Named,
    /// Words.
    Text,
    /// Only its contents count, and its words are separate from those around it.
    Block,
    /// Only its contents count.
    Through,
    /// Skipped with its contents.
    Nothing,
}

/// The kind of a Chromium role.
pub(super) fn kind(role: &str) -> Kind {
    match role {
        "button"
        | "checkbox"
        | "combobox"
        | "link"
        | "listbox"
        | "menuitem"
        | "menuitemcheckbox"
        | "menuitemradio"
        | "option"
        | "radio"
        | "searchbox"
        | "slider"
        | "spinbutton"
        | "switch"
        | "tab"
        | "textbox"
        | "treeitem"
        | "ColorWell"
        | "Date"
        | "DateTime"
        | "DisclosureTriangle"
        | "DisclosureTriangleGrouped"
        | "InputTime"
        | "PopUpButton"
        | "ToggleButton"
        | "MenuListOption" => Kind::Interactive,
        "alert"
        | "alertdialog"
        | "banner"
        | "complementary"
        | "contentinfo"
        | "dialog"
        | "form"
        | "grid"
        | "Iframe"
        | "IframePresentational"
        | "main"
        | "menu"
        | "menubar"
        | "navigation"
        | "radiogroup"
        | "search"
        | "status"
        | "table"
        | "tablist"
        | "tabpanel"
        | "toolbar"
        | "tree"
        | "treegrid" => Kind::Container,
        "StaticText" => Kind::Text,
        "InlineTextBox" | "ListMarker" | "LineBreak" | "MenuListPopup" => Kind::Nothing,
        "none" | "generic" | "RootWebArea" | "WebArea" | "strong" | "emphasis" | "code"
        | "mark" | "subscript" | "superscript" | "insertion" | "deletion" | "time" | "Abbr"
        | "rowgroup" | "cell" | "gridcell" | "presentation" | "LayoutTableCell" => Kind::Through,
        "paragraph"
        | "list"
        | "listitem"
        | "LabelText"
        | "blockquote"
        | "term"
        | "definition"
        | "DescriptionList"
        | "DescriptionListDetail"
        | "DescriptionListTerm"
        | "LayoutTable"
        | "LayoutTableRow"
        | "Pre"
        | "Section"
        | "sectionheader"
        | "sectionfooter"
        | "caption"
        | "Legend"
        | "Figcaption" => Kind::Block,
        _ => Kind::Named,
    }
}

/// The role as one lower-case word.
pub(super) fn word(role: &str) -> String {
    match role {
        "Iframe" | "IframePresentational" => "frame".to_owned(),
        "DisclosureTriangle" | "DisclosureTriangleGrouped" | "ToggleButton" => "button".to_owned(),
        "PopUpButton" => "menubutton".to_owned(),
        "MenuListOption" => "option".to_owned(),
        "generic" | "none" => "part".to_owned(),
        "InputTime" => "time".to_owned(),
        role => role.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase(),
    }
}
