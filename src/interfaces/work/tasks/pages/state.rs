//! State of a task list in its address: view, query and layout.

use serde::Deserialize;

use ::list::address;
use app::Ws;
use features::tasks::queries::grouping::GroupBy;
use features::tasks::queries::keys::KEYS;
use features::tasks::queries::list::Sort;
use features::tasks::queries::looks::{self, Layout, View};
use features::views::model::Look;
use kernel::filter::{Query, Term};
use web::scroll_state::Have;

/// States listed among the statuses of the menu.
pub const WHOLE: [&str; 4] = ["open", "in-review", "closed", "archived"];

/// Query parameters. Absent ones take the view's value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TasksPageParams {
    /// Slug of the view.
    pub view: String,
    pub q: Option<String>,
    /// List, board, calendar or timeline.
    pub layout: Option<String>,
    /// Sort order.
    pub sort: Option<String>,
    /// Grouping.
    pub group: Option<String>,
    /// Swimlanes of a board.
    pub lanes: Option<String>,
    /// Columns of a list.
    pub columns: Option<String>,
    /// Work-in-progress limits of a board's columns.
    pub wip: Option<String>,
    /// Month of the calendar.
    pub month: String,
    /// The group whose further rows are requested.
    pub of: String,
    /// Cursor of the previous page.
    pub after: String,
    /// Numbers of rows by group that the page already shows.
    pub have: Have,
    /// Set by the filter form, whose fields replace the terms of the query.
    pub menu: String,
    /// `open`, `closed`, `all`, or words separated by commas.
    pub status: String,
    /// `me`, `none`, a slug or a handle.
    pub assignee: String,
    /// Words separated by commas.
    pub priority: String,
    /// A date, or `overdue`, `today`, `week`, `none`.
    pub due: String,
    /// The name of a stream, or `none`.
    pub stream: String,
    /// The name of a label.
    pub label: String,
    /// Whether archived tasks are shown.
    pub archived: String,
    /// Region beside the tasks that is requested alone.
    pub part: String,
}

/// The requested list.
#[derive(Clone, Debug)]
pub struct State {
    /// The view that it starts from.
    pub view: View,
    /// The effective settings.
    pub look: Look,
    /// The parsed query.
    pub query: Query,
    /// Month of the calendar, as typed.
    pub month: String,
    /// Name of an unknown view; may be empty.
    pub missing: String,
}

impl State {
    /// Applies the request to a view.
    #[must_use]
    pub fn of(params: &TasksPageParams, view: View) -> Self {
        let own = &view.look;
        let value_or = |given: &Option<String>, own: &str| {
            given.as_deref().map_or_else(|| own.to_owned(), |text| text.trim().to_owned())
        };
        let mut look = looks::tidy(Look {
            q: value_or(&params.q, &own.q),
            layout: value_or(&params.layout, &own.layout),
            sort: value_or(&params.sort, &own.sort),
            group: value_or(&params.group, &own.group),
            lanes: value_or(&params.lanes, &own.lanes),
            columns: value_or(&params.columns, &own.columns),
            wip: value_or(&params.wip, &own.wip),
            foot: String::new(),
        });
        let mut query = Query::parse(&look.q);
        if fold(&mut query, params) {
            query = query.canonical(KEYS);
            look.q = query.to_string();
        }
        Self { view, look, query, month: params.month.clone(), missing: String::new() }
    }

    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout::from_word(&self.look.layout).unwrap_or_default()
    }

    /// The sort order. A board defaults to manual order.
    #[must_use]
    pub fn sort(&self) -> Sort {
        Sort::from_word(&self.look.sort).unwrap_or(self.layout().usual_sort())
    }

    /// The grouping.
    #[must_use]
    pub fn group(&self) -> GroupBy {
        GroupBy::from_word(&self.look.group).unwrap_or_default()
    }

    /// The swimlanes of the board; none if equal to the grouping.
    #[must_use]
    pub fn lanes(&self) -> GroupBy {
        let lanes = GroupBy::from_word(&self.look.lanes).unwrap_or(GroupBy::None);
        if lanes == self.group() { GroupBy::None } else { lanes }
    }

    /// Whether a setting differs from the view. The layout does not count.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        address::is_changed(&self.look.fields(), &self.view.look.fields())
    }

    /// Whether the layout differs from the view's.
    #[must_use]
    pub fn is_laid_out_anew(&self) -> bool {
        self.look.layout != self.view.look.layout
    }

    /// Query parameters except `q`, for forms.
    #[must_use]
    pub fn others(&self) -> Vec<(&'static str, String)> {
        let all = self.pairs(&self.look).into_iter().filter(|(name, _)| *name != "q");
        all.collect()
    }

    /// Query parameters: the view, and the settings that differ from it.
    fn pairs(&self, look: &Look) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if !self.view.first {
            all.push(("view", self.view.slug.clone()));
        }
        all.extend(address::differing(&look.fields(), &self.view.look.fields()));
        let along = [Layout::Calendar, Layout::Timeline].map(Layout::word);
        if !self.month.is_empty() && along.contains(&look.layout.as_str()) {
            all.push(("month", self.month.clone()));
        }
        all
    }

    /// The address with other settings.
    #[must_use]
    pub fn url_of(&self, ws: &Ws, look: &Look) -> String {
        address::url(&ws.url("tasks"), &self.pairs(&looks::tidy(look.clone())))
    }

    /// The address with another layout. Always names the layout, because the choice is remembered.
    #[must_use]
    pub fn url_laid_out(&self, ws: &Ws, look: &Look) -> String {
        let mut pairs = self.pairs(&looks::tidy(look.clone()));
        if pairs.iter().all(|(name, _)| *name != "layout") {
            pairs.push(("layout", look.layout.clone()));
        }
        address::url(&ws.url("tasks"), &pairs)
    }

    /// Whether the query restricts the list to open tasks.
    #[must_use]
    pub fn asks_open(&self) -> bool {
        self.query.terms.contains(&Term::new("is", "open"))
    }

    /// The address of the list.
    #[must_use]
    pub fn url(&self, ws: &Ws) -> String {
        self.url_of(ws, &self.look)
    }

    /// The address of recurring tasks, which keeps the list's state for the way back.
    #[must_use]
    pub fn recurring_url(&self, ws: &Ws) -> String {
        address::url(&ws.url("tasks/recurring"), &self.pairs(&self.look))
    }

    /// The address of the list with further parameters.
    #[must_use]
    pub fn url_with(&self, ws: &Ws, more: &[(&'static str, &str)]) -> String {
        let mut pairs = self.pairs(&self.look);
        pairs.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        address::url(&ws.url("tasks"), &pairs)
    }

    /// The address with another query.
    #[must_use]
    pub fn url_asking(&self, ws: &Ws, query: &Query) -> String {
        let q = query.canonical(KEYS).to_string();
        self.url_of(ws, &Look { q, ..self.look.clone() })
    }

    /// The only person or agent that the query selects, as typed; may be empty.
    #[must_use]
    pub fn one_assignee(&self) -> &str {
        let mut terms = self.query.terms.iter().filter(|term| term.key == "assignee" && !term.not);
        match (terms.next(), terms.next()) {
            (Some(Term { values, .. }), None) => match values.as_slice() {
                [one] if one != "none" && one != "any" => one,
                _ => "",
            },
            _ => "",
        }
    }
}

/// Merges separate filter fields into the query. Returns whether there were any.
fn fold(query: &mut Query, params: &TasksPageParams) -> bool {
    let menu = !params.menu.is_empty();
    let fields = [
        ("assignee", &params.assignee),
        ("stream", &params.stream),
        ("label", &params.label),
        ("priority", &params.priority),
        ("due", &params.due),
    ];
    let mut any = menu;
    for (key, value) in fields {
        let value = value.trim();
        if menu || !value.is_empty() {
            query.terms.retain(|term| term.key != key || term.not);
        }
        if value.is_empty() {
            continue;
        }
        any = true;
        query.terms.push(match (key, value) {
            ("due", "overdue") => Term::new("is", "overdue"),
            ("due", "week") => Term::new("due", "<7d"),
            ("due", "today") if !menu => Term::new("due", "<=today"),
            (key, value) => several(key, value),
        });
    }
    let status = params.status.trim();
    if menu || !status.is_empty() {
        any = true;
        let whole = |term: &Term| {
            let state = |value: &String| WHOLE.contains(&value.as_str());
            term.key == "status" || (term.key == "is" && term.values.iter().all(state))
        };
        query.terms.retain(|term| !whole(term) || term.not);
        match status {
            "" | "all" => {}
            word if WHOLE.contains(&word) => query.terms.push(Term::new("is", word)),
            words => query.terms.push(several("status", words)),
        }
    }
    if !params.archived.is_empty() {
        any = true;
        query.terms.push(Term::new("is", "archived"));
    }
    any
}

fn several(key: &str, values: &str) -> Term {
    // In query syntax a name that contains a comma is quoted.
    if values.contains('"')
        && let [term] = Query::parse(&format!("{key}:{values}")).terms.as_slice()
    {
        return term.clone();
    }
    let values = values.split(',').map(str::trim).filter(|value| !value.is_empty());
    Term { not: false, key: key.to_owned(), values: values.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::{State, TasksPageParams};
    use features::tasks::queries::looks;

    fn state(query: &str) -> State {
        let params: TasksPageParams = serde_urlencoded::from_str(query).expect("an address");
        State::of(&params, looks::built_in().into_iter().next().expect("the first view"))
    }

    #[test]
    fn former_addresses_mean_what_they_meant() {
        let q = |query: &str| state(query).look.q;
        assert_eq!(q(""), "is:open");
        assert_eq!(q("q="), "");
        assert_eq!(q("q=due:today+is:open"), "due:today is:open", "typed text stays as typed");
        assert_eq!(q("assignee=me"), "is:open assignee:me");
        assert_eq!(q("status=all"), "");
        assert_eq!(q("status=closed&priority=high,low"), "is:closed priority:high,low");
        assert_eq!(q("status=done,blocked&due=overdue"), "status:done,blocked is:overdue");
        assert_eq!(q("status=all&archived=1"), "is:archived");
        assert_eq!(q("q=word"), "word");
    }

    #[test]
    fn the_menu_takes_the_place_of_what_was_typed() {
        let q = |query: &str| state(query).look.q;
        let menu = "menu=1&status=open&assignee=&priority=&due=&q=";
        assert_eq!(q(&format!("{menu}assignee:me+has:run+x")), "is:open has:run x");
        assert_eq!(q("menu=1&status=all&due=week&q=is:open+-status:done"), "-status:done due:<7d");
        let named = "menu=1&status=open&stream=Spring&label=%22odd,+even%22&q=label:bug+stream:x";
        assert_eq!(q(named), "is:open stream:Spring label:\"odd, even\"");
    }

    #[test]
    fn only_what_differs_from_the_view_stands_in_the_address() {
        let pairs = |query: &str| {
            let state = state(query);
            let pairs = state.pairs(&state.look);
            (
                pairs
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>(),
                state.is_changed(),
            )
        };
        assert_eq!(pairs("q=is:open"), (Vec::new(), false));
        assert_eq!(pairs("q="), (vec!["q=".to_owned()], true));
        assert_eq!(pairs("layout=board&sort="), (vec!["layout=board".to_owned()], false));
    }
}
