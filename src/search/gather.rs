//! Collector of hits: counts them by kind and keeps the best of each kind.

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::layout::{ARCHIVED, AT, KIND};
use super::query::CERTAIN;
use super::{Ask, KINDS};

/// Half-life of the recency bonus, in days.
const HALF_LIFE_DAYS: f32 = 30.0;
/// Recency bonus of a change just now, as a share of the score.
const FRESH: f32 = 0.5;
/// Factor for archived documents.
const OUT_OF_THE_WAY: f32 = 0.3;

/// A hit during collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub score: Score,
    pub at: i64,
    pub place: DocAddress,
    pub kind: u8,
    /// Contains a searched identifier as a whole.
    pub named: bool,
}

/// Order by score, then the newest first.
pub(super) fn order(a: &Spot, b: &Spot) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(b.at.cmp(&a.at)).then(a.place.cmp(&b.place))
}

/// Number of hits per kind, and the best hits of each kind.
#[derive(Default)]
pub(super) struct Gathered {
    pub counts: [u64; KINDS],
    pub best: Vec<Spot>,
}

pub(super) struct Gather {
    most: usize,
    now: i64,
    kinds: [bool; KINDS],
}

impl Gather {
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        let mut kinds = [ask.kinds.is_empty(); KINDS];
        for kind in ask.kinds {
            kinds[usize::from(*kind) % KINDS] = true;
        }
        Self { most: ask.most, now: ask.now, kinds }
    }

    fn trim(&self, best: &mut Vec<Spot>) {
        best.sort_unstable_by(order);
        best.truncate(self.most);
    }
}

impl Collector for Gather {
    type Fruit = Gathered;
    type Child = Segment;

    fn for_segment(&self, at: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<Segment> {
        let fast = reader.fast_fields();
        Ok(Segment {
            segment: at,
            kind: fast.u64(KIND)?,
            at: fast.i64(AT)?,
            archived: fast.u64(ARCHIVED)?,
            gather: Self { most: self.most, now: self.now, kinds: self.kinds },
            counts: [0; KINDS],
            best: (0..KINDS).map(|_| Vec::new()).collect(),
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, all: Vec<(Counts, Vec<Vec<Spot>>)>) -> tantivy::Result<Gathered> {
        let mut gathered = Gathered::default();
        let mut best: Vec<Vec<Spot>> = (0..KINDS).map(|_| Vec::new()).collect();
        for (counts, some) in all {
            gathered.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            best.iter_mut().zip(some).for_each(|(best, mut some)| best.append(&mut some));
        }
        for mut of_kind in best {
            self.trim(&mut of_kind);
            gathered.best.append(&mut of_kind);
        }
        gathered.best.sort_unstable_by(order);
        Ok(gathered)
    }
}

type Counts = [u64; KINDS];

/// Collector of one segment.
pub(super) struct Segment {
    segment: SegmentOrdinal,
    kind: Column<u64>,
    at: Column<i64>,
    archived: Column<u64>,
    gather: Gather,
    counts: Counts,
    best: Vec<Vec<Spot>>,
}

impl SegmentCollector for Segment {
    type Fruit = (Counts, Vec<Vec<Spot>>);

    fn collect(&mut self, doc: DocId, score: Score) {
        let kind = usize::try_from(self.kind.first(doc).unwrap_or(0)).unwrap_or(0) % KINDS;
        if !self.gather.kinds[kind] {
            return;
        }
        self.counts[kind] += 1;
        if self.gather.most == 0 {
            return;
        }
        let at = self.at.first(doc).unwrap_or(0);
        let named = CERTAIN <= score;
        let mut score = score * young(self.gather.now - at);
        if self.archived.first(doc) == Some(1) {
            score *= OUT_OF_THE_WAY;
        }
        let place = DocAddress::new(self.segment, doc);
        let best = &mut self.best[kind];
        best.push(Spot { score, at, place, kind: u8::try_from(kind).unwrap_or(0), named });
        // Trimmed rarely, so that the cost per hit is constant.
        if 2 * self.gather.most + 64 <= best.len() {
            self.gather.trim(best);
        }
    }

    fn harvest(self) -> Self::Fruit {
        (self.counts, self.best)
    }
}

/// Recency factor of a document that changed `seconds` ago.
fn young(seconds: i64) -> f32 {
    let days = seconds.max(0) as f32 / 86_400.0;
    1.0 + FRESH * (-days / HALF_LIFE_DAYS).exp2()
}

#[cfg(test)]
mod tests {
    use super::young;

    #[test]
    fn what_is_young_counts_more_and_nothing_counts_less_than_it_did() {
        let day = 86_400;
        assert!(young(0) > young(day) && young(day) > young(300 * day));
        assert!(young(10_000 * day) >= 1.0 && young(-day) <= 1.5);
    }
}
