//! `/api/v1/search`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use kernel::{Can, Timestamp};
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::global_search::model::Kind;
use features::global_search::queries::{self, DEEPEST, NEAR, SearchRequest};

/// Default number of results.
const LIMIT: usize = 25;
/// Maximum number of results.
const MAX_LIMIT: usize = 100;

#[must_use]
pub fn routes() -> Routes {
    Routes::new().get(
        "/search",
        search.needs(Can::Read).doc(|| {
            Doc::new(
                "Search results, best first: tasks, comments, deliverables, files, agents, people, \
                 streams, labels, routines, recurring tasks, templates, views, links, reviews, agents' own \
                 files and messages in conversations you can see. Text files are searched in their first 256 KB. Results contain all words, or all but the filler words of a question; the last word can be incomplete, words of five letters or more can have a typo, quoted words form a phrase",
            )
            .query::<SearchParams>()
            .returns::<Answer>()
        }),
    )
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchParams {
    /// The words.
    q: String,
    /// Only these kinds, such as `task,comment`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only tasks or deliverables that stand so, such as `todo`.
    status: Option<String>,
    /// 1 to 100.
    limit: Option<usize>,
    /// Go on behind this place, as it came in `next`.
    cursor: Option<String>,
}

/// Something that was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SearchHit")]
struct Item {
    /// `task`, `comment`, `deliverable`, `file`, `agent`, `person`, `message`, `stream`, `label`,
    /// `routine`, `series`, `template`, `view`, `link`, `review` or `agent_file`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its id; of a message the conversation's and its number in it, of an agent's file the agent's and its path.
    id: String,
    /// What it is called.
    title: String,
    /// What it is and how it stands, in a few words.
    about: String,
    /// The words around what was found as HTML: escaped, with `<mark>` around them.
    snippet: String,
    /// Its address in the workspace.
    url: String,
    /// When it changed last.
    #[schemars(with = "Option<String>")]
    updated_at: Option<Timestamp>,
    /// Whether it is out of the way.
    archived: bool,
}

/// How many fit of a kind.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SearchFacet")]
struct Facet {
    /// The kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// How many.
    count: u64,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SearchAnswer")]
struct Answer {
    /// Best first.
    items: Vec<Item>,
    /// How many fit of each kind.
    facets: Vec<Facet>,
    /// Whether words that are nearly right were taken for those that are meant.
    guessed: bool,
    /// Whether the index is complete; while one is made, hits may be missing.
    complete: bool,
    /// Give this back as `cursor`.
    next: Option<String>,
}

async fn search(
    ws: Ws,
    who: Person,
    Query(params): Query<SearchParams>,
) -> Result<Json<Answer>, ApiError> {
    let take = params.limit.unwrap_or(LIMIT);
    if take == 0 || MAX_LIMIT < take {
        return Err(ApiError::invalid("limit", format!("ask for 1 to {MAX_LIMIT} hits")));
    }
    let skip = match params.cursor.as_deref() {
        None | Some("") => 0,
        Some(text) => match text.parse::<usize>() {
            Ok(skip) if skip <= DEEPEST => skip,
            _ => return Err(ApiError::invalid("cursor", "send `next` exactly as you received it")),
        },
    };
    let mut kinds = Vec::new();
    for word in params.kind.iter().flat_map(|text| text.split(',')).map(str::trim) {
        let known = Kind::of_word(word).filter(|kind| kind.is_indexed());
        kinds.push(known.ok_or_else(|| unknown(word))?);
    }
    let status = params.status.filter(|status| !status.is_empty());
    let wish =
        SearchRequest { words: params.q, kinds, status, skip, take, each: None, patience: NEAR };
    let page = queries::find(&ws, &who, wish).await?;
    let next = skip + page.hits.len();
    let items = page.hits.into_iter().map(|hit| Item {
        kind: hit.kind.word(),
        id: hit.id,
        title: hit.title,
        about: hit.meta,
        snippet: hit.snippet.as_str().to_owned(),
        url: ws.url(&hit.path),
        updated_at: Timestamp::from_second(hit.at).ok(),
        archived: hit.archived,
    });
    Ok(Json(Answer {
        items: items.collect(),
        facets: page
            .counts
            .iter()
            .map(|(kind, count)| Facet { kind: kind.word(), count: *count })
            .collect(),
        guessed: page.guessed,
        complete: page.building.is_none(),
        next: (page.more && next <= DEEPEST).then(|| next.to_string()),
    }))
}

fn unknown(word: &str) -> ApiError {
    let known = Kind::all().filter(|kind| kind.is_indexed());
    let known: Vec<&str> = known.map(Kind::word).collect();
    ApiError::invalid("type", format!("unknown kind `{word}`; try {}", known.join(", ")))
}
