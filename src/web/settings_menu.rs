//! Menu of the settings pages: groups, icons, and a search by label and keywords.

use askama::Template;
use askama::filters::HtmlSafe;

use kernel::text;

use crate::shell::Shell;

/// A page of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsEntry {
    /// Path segment below `settings/`.
    pub word: &'static str,
    /// Visible label.
    pub label: &'static str,
    /// Icon name.
    pub icon: &'static str,
    /// Further words that find the page.
    pub keywords: &'static str,
}

impl SettingsEntry {
    /// Everything that the search looks at, in lower case.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {}", self.label, self.keywords).to_lowercase()
    }
}

const fn entry(
    word: &'static str,
    label: &'static str,
    icon: &'static str,
    keywords: &'static str,
) -> SettingsEntry {
    SettingsEntry { word, label, icon, keywords }
}

/// A heading and its pages.
pub type SettingsGroup = (&'static str, Vec<SettingsEntry>);

/// Groups of the menu, in order.
const GROUPS: [(&str, &[SettingsEntry]); 5] = [
    (
        "You",
        &[
            entry("profile", "Profile", "user", "name time zone password me account"),
            entry(
                "appearance",
                "Appearance",
                "sun",
                "theme light dark density compact week monday sunday date time number format",
            ),
            entry("notifications", "Notifications", "bell", "push email digest quiet alerts"),
            entry(
                "security",
                "Two-step sign-in",
                "lock",
                "security passkey 2fa totp authenticator app codes recovery password",
            ),
            entry("sign-ins", "Sign-ins", "out", "devices browsers sessions sign out log out"),
            entry("tokens", "API tokens", "code", "keys access programs developer"),
        ],
    ),
    (
        WORKSPACE,
        &[
            entry(
                "general",
                "General",
                "settings",
                "workspace name emoji brand colour task key time zone monthly budget run limits \
                 sub-agents conversations messages private hosts archive delete",
            ),
            entry(
                "modules",
                "Modules",
                "box",
                "switch on off parts crm customers collections knowledge",
            ),
            entry("members", "Members", "users", "people invite roles team owner admin leave"),
            entry("tasks", "Tasks", "tasks", "delegation missed overdue days"),
            entry("labels", "Labels", "tag", "tags colours"),
            entry("task-templates", "Task templates", "layers", "plan steps repeat"),
        ],
    ),
    (
        "Agents",
        &[
            entry(
                "connections",
                "Connections",
                "bolt",
                "models providers keys api openai anthropic default thinking fallback",
            ),
            entry(
                "channels",
                "Channels",
                "comment",
                "telegram discord slack messenger bot pairing rooms routes deliveries phone",
            ),
            entry(
                "mcp-servers",
                "Tools",
                "box",
                "mcp servers model context protocol connect plugin",
            ),
            entry(
                "search-engines",
                "Web search",
                "search",
                "brave tavily exa serper searxng engine internet google keyless",
            ),
            entry(
                "skills",
                "Skills",
                "spark",
                "packages instructions procedures install approve review git archive",
            ),
            entry("secrets", "Secrets", "key", "passwords tokens variables environment vault"),
            entry(
                "usage",
                "Usage and budgets",
                "timeline",
                "budget cost money spend tokens limits prices",
            ),
            entry(
                "policy",
                "Permissions",
                "block",
                "approvals policy allow deny ask rules reviewer",
            ),
        ],
    ),
    (
        "Data",
        &[
            entry("meaning", "Semantic search", "search", "model embedding vectors knowledge"),
            entry("backups", "Backups", "archive", "restore export import snapshot download"),
            entry("audit", "Audit", "eye", "record log who did what redact retention versions"),
        ],
    ),
    (
        "System",
        &[
            entry("gateways", "Gateways", "server", "machines hosts copies computers"),
            entry("health", "Health", "pulse", "status doctor store database index"),
            entry("mail", "Email", "mail", "smtp server sender"),
        ],
    ),
];
/// The group to which pages of nouns are added.
const WORKSPACE: &str = "Workspace";

/// The menu; see [`Shell::settings_menu`].
#[derive(Template)]
#[template(path = "settings/menu.html")]
pub struct SettingsMenu<'a> {
    pub(crate) shell: &'a Shell,
    /// Word of the current page.
    pub(crate) at: &'a str,
    /// Search text; empty for all pages.
    pub(crate) query: &'a str,
}

impl HtmlSafe for SettingsMenu<'_> {}

impl SettingsMenu<'_> {
    fn groups(&self) -> Vec<SettingsGroup> {
        found(&self.shell.more_settings, self.query)
    }
}

/// The groups with the pages that match `query`: each of its words begins one of theirs. Empty groups are left out.
fn found(more: &[(&'static str, &'static str)], query: &str) -> Vec<SettingsGroup> {
    let is_all = query.trim().is_empty();
    let matches = |page: &SettingsEntry| is_all || text::begins_words(&page.words(), query);
    let is_new = |(word, _): &&(&'static str, &'static str)| {
        !GROUPS.iter().any(|(_, pages)| pages.iter().any(|known| known.word == *word))
    };
    let group = |(heading, pages): (&'static str, &[SettingsEntry])| {
        let mut all = pages.to_vec();
        if heading == WORKSPACE {
            let more = more.iter().filter(is_new);
            all.extend(more.map(|(word, label)| entry(word, label, "table", "")));
        }
        all.retain(matches);
        (heading, all)
    };
    let mut groups: Vec<SettingsGroup> = GROUPS.into_iter().map(group).collect();
    groups.retain(|(_, pages)| !pages.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::found;

    fn words(query: &str) -> Vec<&'static str> {
        let groups = found(&[("boats", "Boats"), ("labels", "Labels")], query);
        groups.into_iter().flat_map(|(_, pages)| pages).map(|page| page.word).collect()
    }

    #[test]
    fn each_icon_is_in_the_sprite() {
        let sprite = include_str!("../../static/icons.svg");
        for page in found(&[], "").into_iter().flat_map(|(_, pages)| pages) {
            assert!(sprite.contains(&format!("id=\"i-{}\"", page.icon)), "{}", page.icon);
        }
    }

    #[test]
    fn keywords_find_pages() {
        assert_eq!(words("password"), ["profile", "security", "secrets"]);
        assert_eq!(words("Theme"), ["appearance"]);
        assert_eq!(words("budget"), ["general", "usage"]);
        assert_eq!(words("time  zone"), ["profile", "general"]);
        assert_eq!(words("boat"), ["boats"]);
        assert_eq!(words("zeppelin"), [""; 0]);
    }

    #[test]
    fn a_noun_with_a_place_of_its_own_is_listed_once() {
        let labels = words("").into_iter().filter(|word| *word == "labels");
        assert_eq!(labels.count(), 1);
    }
}
