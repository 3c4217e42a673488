//! In-memory part of the vectors: one byte per number, with lookup by id and hash.
//!
//! Rows are stored in blocks that readers share. A writer changes a block in place if no reader holds it, otherwise a
//! copy. Searches therefore never wait for a write or see a partial one.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::Id;
use crate::lanes;
use crate::model::Hash;

/// Rows per block.
const ROWS: usize = 4096;

/// Up to [`ROWS`] rows. Columns are allocated at full length; memory pages without rows cost nothing.
#[derive(Clone)]
struct Block {
    rows: usize,
    ids: Vec<Id>,
    hashes: Vec<Hash>,
    live: Vec<bool>,
    scales: Vec<f32>,
    codes: Vec<i8>,
}

impl Block {
    fn new(dimensions: usize) -> Self {
        Self {
            rows: 0,
            ids: vec![Id::default(); ROWS],
            hashes: vec![Hash::default(); ROWS],
            live: vec![false; ROWS],
            scales: vec![0.0; ROWS],
            codes: vec![0; ROWS * dimensions],
        }
    }
}

/// A quantized vector: `code · scale` approximates it.
struct Coded {
    codes: Vec<i8>,
    scale: f32,
}

impl Coded {
    fn new(vector: &[f32]) -> Self {
        let top = vector.iter().fold(0.0_f32, |top, number| top.max(number.abs()));
        let scale = top / 127.0;
        let share = if 0.0 < scale { 1.0 / scale } else { 0.0 };
        let codes = vector.iter().map(|number| (number * share).round() as i8).collect();
        Self { codes, scale }
    }
}

/// Snapshot of all rows.
#[derive(Clone)]
pub struct Rows {
    dimensions: usize,
    blocks: Vec<Arc<Block>>,
}

impl Rows {
    /// Number of slots, live or not.
    pub fn slots(&self) -> usize {
        match self.blocks.last() {
            Some(last) => (self.blocks.len() - 1) * ROWS + last.rows,
            None => 0,
        }
    }

    pub fn id(&self, slot: usize) -> &Id {
        &self.blocks[slot / ROWS].ids[slot % ROWS]
    }

    /// Hash of the text of the vector in a slot.
    pub fn hash(&self, slot: usize) -> &Hash {
        &self.blocks[slot / ROWS].hashes[slot % ROWS]
    }

    /// Live slots in file order.
    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        self.blocks.iter().enumerate().flat_map(|(at, block)| {
            let rows = (0..block.rows).filter(|row| block.live[*row]);
            rows.map(move |row| at * ROWS + row)
        })
    }

    /// Slots of about the `most` vectors nearest to `query`, unordered.
    pub fn near(&self, query: &[f32], most: usize, allow: impl Fn(&Id) -> bool) -> Vec<usize> {
        let query = Coded::new(query);
        let mut found = BinaryHeap::new();
        let mut products = Vec::with_capacity(ROWS);
        for (at, block) in self.blocks.iter().enumerate() {
            lanes::scan(&query.codes, &block.codes[..block.rows * self.dimensions], &mut products);
            for (row, product) in products.iter().enumerate() {
                let near =
                    Near { score: *product as f32 * block.scales[row], slot: at * ROWS + row };
                let full = found.len() == most;
                // The filter may be slow, so only candidates that would be taken are checked.
                if full && found.peek().is_some_and(|least| *least <= near) {
                    continue;
                }
                if block.live[row] && allow(&block.ids[row]) {
                    if full {
                        found.pop();
                    }
                    found.push(near);
                }
            }
        }
        found.into_iter().map(|near| near.slot).collect()
    }

    fn push(&mut self, id: &Id, hash: &Hash, coded: Option<&Coded>) {
        if self.slots().is_multiple_of(ROWS) {
            self.blocks.push(Arc::new(Block::new(self.dimensions)));
        }
        let last = self.blocks.last_mut().expect("invariant: a block was made");
        let block = Arc::make_mut(last);
        let row = block.rows;
        block.rows += 1;
        (block.ids[row], block.hashes[row]) = (*id, *hash);
        if let Some(coded) = coded {
            (block.live[row], block.scales[row]) = (true, coded.scale);
            block.codes[row * self.dimensions..][..self.dimensions].copy_from_slice(&coded.codes);
        }
    }

    fn kill(&mut self, slot: usize) {
        Arc::make_mut(&mut self.blocks[slot / ROWS]).live[slot % ROWS] = false;
    }
}

/// A slot and its score. Ordered by descending score, so that a max-heap drops the farthest first.
#[derive(PartialEq)]
struct Near {
    score: f32,
    slot: usize,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score).then(self.slot.cmp(&other.slot))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows with lookup by id and hash.
pub struct Table {
    pub rows: Rows,
    by_id: HashTable<u32>,
    by_hash: HashTable<u32>,
    seed: RandomState,
}

impl Table {
    pub fn new(dimensions: usize) -> Self {
        Self {
            rows: Rows { dimensions, blocks: Vec::new() },
            by_id: HashTable::new(),
            by_hash: HashTable::new(),
            seed: RandomState::new(),
        }
    }

    /// Number of live rows.
    pub fn live(&self) -> usize {
        self.by_id.len()
    }

    pub fn slot(&self, id: &Id) -> Option<usize> {
        let same = |slot: &u32| self.rows.id(*slot as usize) == id;
        self.by_id.find(self.seed.hash_one(id), same).map(|slot| *slot as usize)
    }

    /// One of the slots with this hash.
    pub fn slot_of_text(&self, hash: &Hash) -> Option<usize> {
        let same = |slot: &u32| self.rows.hash(*slot as usize) == hash;
        self.by_hash.find(short(hash), same).map(|slot| *slot as usize)
    }

    /// Appends a live row. The id must not be in use.
    pub fn push(&mut self, id: &Id, hash: &Hash, vector: &[f32]) {
        let slot = self.rows.slots() as u32;
        self.rows.push(id, hash, Some(&Coded::new(vector)));
        let Self { rows, by_id, by_hash, seed } = self;
        let key = |slot: &u32| seed.hash_one(rows.id(*slot as usize));
        by_id.insert_unique(seed.hash_one(id), slot, key);
        by_hash.insert_unique(short(hash), slot, |slot| short(rows.hash(*slot as usize)));
    }

    /// Appends a dead row, which takes up a slot.
    pub fn skip(&mut self) {
        self.rows.push(&Id::default(), &Hash::default(), None);
    }

    /// Marks the row of an id as dead; returns its slot.
    pub fn kill(&mut self, id: &Id) -> Option<usize> {
        let rows = &self.rows;
        let of = |slot: &u32| rows.id(*slot as usize) == id;
        let (slot, _) = self.by_id.find_entry(self.seed.hash_one(id), of).ok()?.remove();
        let key = short(rows.hash(slot as usize));
        if let Ok(entry) = self.by_hash.find_entry(key, |other| *other == slot) {
            entry.remove();
        }
        self.rows.kill(slot as usize);
        Some(slot as usize)
    }
}

/// Prefix of a hash, which is as random as the whole.
fn short(hash: &Hash) -> u64 {
    u64::from_le_bytes(hash[..8].try_into().expect("invariant: 8 bytes"))
}
