//! Task templates: groups of tasks that are created together, with their dependencies.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{Actor, Part, Priority, TemplateId, Timestamp, TypedId};
use store::{Class, Index, Keys, Record, Table};

pub const TEMPLATES: Table = Table::new(216, "task_templates");
/// Name in lower case.
pub const BY_NAME: Index = Index::unique(217, "task_templates_by_name");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub id: TemplateId,
    pub name: String,
    pub description: String,
    /// In creation order.
    pub items: Vec<TemplateItem>,
    pub created_by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateItem {
    /// Reference for `blocked_by`.
    pub key: String,
    pub title: String,
    /// Markdown.
    pub description: String,
    pub priority: Priority,
    /// Role of the assignee, or empty. By default the slug of an agent.
    pub role: String,
    /// Label names.
    pub labels: Vec<String>,
    /// Keys of the items that this one waits for.
    pub blocked_by: Vec<String>,
}

impl Record for Template {
    type Id = TemplateId;
    const TABLE: Table = TEMPLATES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_NAME];

    fn id(&self) -> TemplateId {
        self.id
    }

    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_NAME).text(&self.name.to_lowercase());
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: TemplateId::from_bytes([26; 16]),
            name: "Launch".into(),
            description: "What a launch needs".into(),
            items: vec![TemplateItem {
                key: "post".into(),
                title: "Write the post".into(),
                description: "Short.".into(),
                priority: Priority::High,
                role: "writer".into(),
                labels: vec!["launch".into()],
                blocked_by: vec!["brief".into()],
            }],
            created_by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}
