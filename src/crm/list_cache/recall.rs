//! Cache of what lists derive from all rows of a kind: the text of cells as it is searched, names and sort orders.
//! Any change of a row clears it. It lives and goes with the columns; orders are bounded in number.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use entity::Kind;
use memchr::memmem;
use parking_lot::Mutex;
use uuid::Uuid;

use super::once::Words;
use crate::model::CollectionId;

/// No UTF-8 text has this byte, so that no match reaches from one text into the next.
const END: u8 = 0xFF;

/// Names of records, as they are searched.
pub(crate) type Names = HashMap<Uuid, String>;

/// Names of records of several tables that cells lead to.
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

/// All that an order depends on beside the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub collection: Option<CollectionId>,
    pub archived: bool,
    pub field: u16,
    pub down: bool,
    pub kind: Option<Kind>,
    /// The keys of the column's choices, in their order.
    pub choices: Vec<String>,
    /// The names of everybody in cells, by their places; empty where no names count.
    pub people: Vec<String>,
}

/// An order that was made, with the names of records that it was made by.
struct Made {
    order: Order,
    /// Weak, so that names that have changed are not held in memory.
    titles: Vec<Weak<Names>>,
    /// The places of rows.
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
    /// So many orders are kept, four bytes a row each.
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

    /// The order, made at most once however many ask for it at the same time.
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

/// The words of all cells as they are searched, one behind the other, so that one search goes over all of them.
pub(super) struct Lower {
    all: Vec<u8>,
    /// Where the words of each place begin.
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

    /// The places whose words have this part, which is written as words are searched.
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

/// A set of places of words.
#[derive(Default)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    pub(crate) fn has(&self, place: u32) -> bool {
        let place = place as usize;
        self.0.get(place / 64).is_some_and(|set| set & (1 << (place % 64)) != 0)
    }
}
