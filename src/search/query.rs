//! Translation of a search into a tantivy query.

use std::ops::Bound;

use tantivy::Term;
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur,
    PhraseQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::Ask;
use super::layout::Fields;
use super::wanted::{Named, Part, is_forgiven};
use super::words;

/// Weights of an exact match, a prefix match, an inflected form, and a match with a typo.
const WHOLE: f32 = 1.0;
const BEGUN: f32 = 0.8;
const FORM: f32 = 0.3;
const NEARLY: f32 = 0.3;
/// Weights of titles and texts.
const TITLE: f32 = 3.0;
const BODY: f32 = 1.0;
/// Weight of a whole identifier, in addition to its words.
const NAME: f32 = 4.0;
/// Extra weight of an identifier that is certainly no prose: exceeds all words together, so that its hits come first.
pub(super) const CERTAIN: f32 = 10_000.0;
/// Share that fields other than the best one add.
const BESIDE: f32 = 0.1;
/// Shortest prefix that is searched in texts, in letters: nearly every text has a word that starts with "a".
const BEGUN_IN_BODY: usize = 2;

/// The query of a search; `forgiving` enables typo tolerance.
pub(super) fn of(fields: &Fields, ask: &Ask<'_>, forgiving: bool) -> BooleanQuery {
    let parts = &ask.wanted.parts;
    let mut all: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    if ask.any {
        let is_phrase = |part: &&Part| matches!(part, Part::Phrase(_));
        let (phrases, words): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(is_phrase);
        let any_of = |some: Vec<&Part>| -> Box<dyn Query> {
            let some = some.into_iter().map(|part| part_of(fields, part, forgiving));
            Box::new(BooleanQuery::union(some.collect()))
        };
        // If there are phrases, single words alone are no hit.
        let (must, may) = if phrases.is_empty() { (words, phrases) } else { (phrases, words) };
        all.push((Occur::Must, any_of(must)));
        if !may.is_empty() {
            all.push((Occur::Should, any_of(may)));
        }
    } else {
        all.extend(parts.iter().map(|part| (Occur::Must, part_of(fields, part, forgiving))));
    }
    let names = ask.wanted.names.iter();
    all.extend(names.map(|one| (Occur::Should, name(fields, one))));
    let without = ask.wanted.without.iter();
    all.extend(without.map(|part| (Occur::MustNot, part_of(fields, part, false))));
    all.push((Occur::Must, one_of(fields.seen_by, ask.audiences)));
    if !ask.groups.is_empty() {
        all.push((Occur::Must, one_of(fields.group, ask.groups)));
    }
    if let Some(status) = ask.status {
        all.push((Occur::Must, filter(exactly(fields.status, status))));
    }
    BooleanQuery::new(all)
}

fn part_of(fields: &Fields, part: &Part, forgiving: bool) -> Box<dyn Query> {
    match part {
        Part::Word { text, open, stems } => {
            let mut ways = word(fields, text, *open, forgiving);
            ways.extend(forms(fields, stems));
            Box::new(DisjunctionMaxQuery::with_tie_breaker(ways, BESIDE))
        }
        Part::Phrase(words) => phrase(fields, words),
    }
}

/// Searched fields and their weights.
fn places(fields: &Fields) -> [(Field, f32); 4] {
    [(fields.title, TITLE), (fields.tags, 2.0), (fields.subtitle, 1.5), (fields.body, BODY)]
}

fn word(fields: &Fields, text: &str, open: bool, forgiving: bool) -> Vec<Box<dyn Query>> {
    let length = text.chars().count();
    let forgiven = forgiving && is_forgiven(text);
    let mut ways: Vec<Box<dyn Query>> = Vec::new();
    for (field, weight) in places(fields) {
        let term = || Term::from_field_text(field, text);
        let whole = TermQuery::new(term(), IndexRecordOption::WithFreqs);
        ways.push(weighed(Box::new(whole), weight * WHOLE));
        if open && (field != fields.body || BEGUN_IN_BODY <= length || words::is_lone(text)) {
            ways.push(weighed(begun(field, text), weight * BEGUN));
        }
        if forgiven {
            let near = match open {
                true => FuzzyTermQuery::new_prefix(term(), 1, true),
                false => FuzzyTermQuery::new(term(), 1, true),
            };
            ways.push(weighed(Box::new(near), weight * NEARLY));
        }
    }
    ways
}

/// Matches an identifier or a prefix of one.
fn name(fields: &Fields, named: &Named) -> Box<dyn Query> {
    let mut ways: Vec<Box<dyn Query>> = Vec::new();
    for (field, weight) in [(fields.title_names, TITLE), (fields.body_names, BODY)] {
        let term = Term::from_field_text(field, &named.text);
        let whole = TermQuery::new(term, IndexRecordOption::WithFreqs);
        if named.certain {
            let certain = ConstScoreQuery::new(Box::new(whole.clone()), 1.0);
            ways.push(weighed(Box::new(certain), CERTAIN * weight));
        }
        ways.push(weighed(Box::new(whole), NAME * weight));
        if named.open {
            ways.push(weighed(begun(field, &named.text), NAME * weight));
        }
    }
    Box::new(BooleanQuery::union(ways))
}

/// Matches all words with one of these stems.
fn forms<'a>(
    fields: &Fields,
    stems: &'a [String],
) -> impl Iterator<Item = Box<dyn Query>> + use<'a> {
    let places = [(fields.title_stems, TITLE), (fields.body_stems, BODY)];
    places.into_iter().flat_map(move |(field, weight)| {
        stems.iter().map(move |stem| {
            let term = Term::from_field_text(field, stem);
            let form = TermQuery::new(term, IndexRecordOption::WithFreqs);
            weighed(Box::new(form), weight * FORM)
        })
    })
}

/// Matches all words with this prefix.
fn begun(field: Field, text: &str) -> Box<dyn Query> {
    let last = format!("{text}{}", char::MAX);
    let (from, to) = (Term::from_field_text(field, text), Term::from_field_text(field, &last));
    Box::new(RangeQuery::new(Bound::Included(from), Bound::Excluded(to)))
}

fn phrase(fields: &Fields, words: &[String]) -> Box<dyn Query> {
    let ways = places(fields).into_iter().map(|(field, weight)| {
        let mut terms = words.iter().map(|word| Term::from_field_text(field, word));
        let query: Box<dyn Query> = match (words.len(), terms.next()) {
            (1, Some(only)) => Box::new(TermQuery::new(only, IndexRecordOption::WithFreqs)),
            (_, first) => Box::new(PhraseQuery::new(first.into_iter().chain(terms).collect())),
        };
        weighed(query, weight)
    });
    Box::new(DisjunctionMaxQuery::with_tie_breaker(ways.collect(), BESIDE))
}

fn weighed(query: Box<dyn Query>, weight: f32) -> Box<dyn Query> {
    Box::new(BoostQuery::new(query, weight))
}

fn exactly(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

/// Requires one of these words, without effect on the score.
fn one_of(field: Field, words: &[String]) -> Box<dyn Query> {
    let words = words.iter().map(|word| exactly(field, word));
    filter(Box::new(BooleanQuery::union(words.collect())))
}

/// Requires a match, without effect on the score.
fn filter(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

/// Matches documents of a group with another audience.
pub(super) fn strays(fields: &Fields, group: &str, audience: &str) -> BooleanQuery {
    BooleanQuery::new(vec![
        (Occur::Must, exactly(fields.group, group)),
        (Occur::MustNot, exactly(fields.seen_by, audience)),
    ])
}
