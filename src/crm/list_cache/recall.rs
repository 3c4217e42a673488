//! Cache of data that lists derive from all rows of a kind: normalised texts of cells, names and sort orders. Any
//! change of a row clears it. It is dropped with the columns; the number of orders is bounded.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use entity::Kind;
use memchr::memmem;
use parking_lot::Mutex;
use uuid::Uuid;

use super::once::Words;
use crate::model::CollectionId;

/// Separator that is invalid in UTF-8, so that no match spans two texts.
const END: u8 = 0xFF;

/// Names of records, normalised for search.
pub(crate) type Names = HashMap<Uuid, String>;

/// Names of records of several tables that cells refer to.
#[derive(Clone, Default)]
pub(crate) struct Titles(Vec<Arc<Names>>);

impl Titles {
    pub(crate) fn add(&mut self, names: Arc<Names>) {
        self.0.push(names);
    }

    pub(crate) fn get(&self, id: &Uuid) -> Option<&String> {
        self.0.iter().find_map(|names| names.get(id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Uuid, &String)> {
        self.0.iter().flat_map(|names| names.iter())
    }
}

/// Everything that an order depends on, except the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub collection: Option<CollectionId>,
    pub archived: bool,
    pub field: u16,
    pub down: bool,
    pub kind: Option<Kind>,
    /// Keys of the column's choices, in order.
    pub choices: Vec<String>,
    /// Names of all people in cells, by index; empty if names are irrelevant.
    pub people: Vec<String>,
}

/// A computed order, with the record names that it depends on.
struct Made {
    order: Order,
    /// Weak, so that outdated names are not kept in memory.
    titles: Vec<Weak<Names>>,
    /// Indexes of rows.
    rows: Arc<[u32]>,
}

impl Made {
    fn is(&self, order: &Order, titles: &Titles) -> bool {
        let same = |(a, b): (&Weak<Names>, &Arc<Names>)| a.as_ptr() == Arc::as_ptr(b);
        self.order == *order
            && self.titles.len() == titles.0.len()
            && self.titles.iter().zip(&titles.0).all(same)
    }
}

#[derive(Default)]
pub(super) struct Recall {
    lower: OnceLock<Lower>,
    names: OnceLock<Arc<Names>>,
    orders: Mutex<VecDeque<Made>>,
}

impl Recall {
    /// Maximum number of cached orders; each has four bytes per row.
    pub(super) const ORDERS: usize = 8;

    pub(super) fn clear(&mut self) {
        self.lower.take();
        self.names.take();
        self.orders.get_mut().clear();
    }

    pub(super) fn lower(&self, words: &Words) -> &Lower {
        self.lower.get_or_init(|| Lower::new(words))
    }

    pub(super) fn names(&self, make: impl FnOnce() -> Names) -> Arc<Names> {
        Arc::clone(self.names.get_or_init(|| Arc::new(make())))
    }

    /// The order, computed only once for concurrent requests.
    pub(super) fn order(
        &self,
        order: &Order,
        titles: &Titles,
        make: impl FnOnce() -> Vec<u32>,
    ) -> Arc<[u32]> {
        let mut orders = self.orders.lock();
        if let Some(made) = orders.iter().find(|made| made.is(order, titles)) {
            return Arc::clone(&made.rows);
        }
        let rows: Arc<[u32]> = make().into();
        if orders.len() == Self::ORDERS {
            orders.pop_front();
        }
        let titles = titles.0.iter().map(Arc::downgrade).collect();
        orders.push_back(Made { order: order.clone(), titles, rows: Arc::clone(&rows) });
        rows
    }

    #[cfg(test)]
    pub(super) fn orders(&self) -> usize {
        self.orders.lock().len()
    }
}

/// Normalised texts of all cells in one buffer, so that a single search covers all of them.
pub(super) struct Lower {
    all: Vec<u8>,
    /// Start of the text with each index.
    starts: Vec<usize>,
}

impl Lower {
    fn new(words: &Words) -> Self {
        let mut all = Vec::with_capacity(words.all.len() + words.places.len());
        let mut starts = Vec::with_capacity(words.places.len());
        for place in 0..words.places.len() {
            starts.push(all.len());
            let text = words.get(u32::try_from(place).unwrap_or(u32::MAX));
            match text.is_ascii() {
                true => all.extend(text.bytes().map(|byte| byte.to_ascii_lowercase())),
                false => all.extend_from_slice(entity::searched(text).as_bytes()),
            }
            all.push(END);
        }
        Self { all, starts }
    }

    /// Indexes of the texts that contain a normalised part.
    pub(super) fn find(&self, part: &str) -> Places {
        let mut places = Places(vec![0; self.starts.len().div_ceil(64)]);
        let finder = memmem::Finder::new(part.as_bytes());
        let (mut from, mut place) = (0, 0);
        while let Some(at) = self.all.get(from..).and_then(|rest| finder.find(rest)) {
            let at = from + at;
            while self.starts.get(place + 1).is_some_and(|start| *start <= at) {
                place += 1;
            }
            let Some(set) = places.0.get_mut(place / 64) else { break };
            *set |= 1 << (place % 64);
            let Some(next) = self.starts.get(place + 1) else { break };
            from = *next;
        }
        places
    }
}

/// A bit set of text indexes.
#[derive(Default)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    pub(crate) fn has(&self, place: u32) -> bool {
        let place = place as usize;
        self.0.get(place / 64).is_some_and(|set| set & (1 << (place % 64)) != 0)
    }
}
