//! What becomes of a node of the browser's tree, by its role.

/// What a node is in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part that can be acted on.
    Interactive,
    /// A part that others lie in; it can be looked `within`.
    Container,
    /// A part if it has a name; else only what is in it counts.
    Named,
    /// Words.
    Text,
    /// Only what is in it counts, and its words stand apart from those around it.
    Block,
    /// Only what is in it counts.
    Through,
    /// Neither it nor what is in it counts.
    Nothing,
}

/// The kind of a role as Chromium calls it.
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

/// The role in one word of small letters.
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
